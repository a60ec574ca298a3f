package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"nabat/alarms/dc09"
)

// roles are what this program is besides, when it starts itself again.
var roles = map[string]func(args []string) error{
	"responder": func([]string) error { return respond() },
	"answerer":  func([]string) error { return answerCalls() },
	"engine":    func(args []string) error { return serveProfiled(args[0], args[1]) },
}

// respond is ceiling E: it checks a frame's length and CRC, acknowledges it, and
// keeps nothing. It says where it listens and lives as long as its standard input.
func respond() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a program of its own
	if err != nil {
		return err
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0") //nolint:noctx // a program of its own
	if err != nil {
		return err
	}
	udp := pc.(*net.UDPConn)
	_ = udp.SetReadBuffer(4 << 20) // as the engine's
	fmt.Println(ln.Addr(), pc.LocalAddr())
	for range 2 {
		go respondUDP(udp)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go respondTCP(conn)
		}
	}()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func respondTCP(conn net.Conn) {
	defer conn.Close()
	var out []byte
	for buf := make([]byte, 0, 2*dc09.MaxFrame); ; {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return
		}
		buf = buf[:len(buf)+n]
		rest := buf
		for {
			f, n, err := dc09.Next(rest, false)
			rest = rest[n:]
			if errors.Is(err, dc09.ErrShort) {
				break
			}
			if err == nil {
				out = acknowledge(out[:0], f.Body)
				if _, err := conn.Write(out); err != nil {
					return
				}
			}
		}
		buf = buf[:copy(buf, rest)]
	}
}

func respondUDP(pc *net.UDPConn) {
	var out []byte
	for buf := make([]byte, 2*dc09.MaxFrame); ; {
		n, from, err := pc.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		f, _, err := dc09.Next(buf[:n], true)
		if err != nil {
			continue
		}
		out = acknowledge(out[:0], f.Body)
		if _, err := pc.WriteToUDPAddrPort(out, from); err != nil {
			return
		}
	}
}

// acknowledge echoes what stands between the token and the data block.
func acknowledge(out, body []byte) []byte {
	from := bytes.IndexByte(body[1:], '"') + 2
	to := bytes.IndexByte(body, '[')
	if from < 2 || to < from {
		return out
	}
	var room [64]byte
	ack := append(append(append(room[:0], `"ACK"`...), body[from:to]...), "[]"...)
	return dc09.AppendFrame(out, ack, dc09.CRCHex)
}
