package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// self is this program in another role, as a process of its own.
type self struct {
	cmd   *exec.Cmd
	input io.Closer
	addrs []string // where it says it listens
}

func startSelf(role string) (*self, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &self{cmd: command(program, role)}
	s.cmd.Stderr = os.Stderr
	if s.input, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("%s says nothing: %w", role, err)
	}
	s.addrs = strings.Fields(line)
	return s, nil
}

// stop ends it by the end of its input, and waits.
func (s *self) stop() {
	s.input.Close()
	_ = s.cmd.Wait() // what it had to say stands on standard error
}
