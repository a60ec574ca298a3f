package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"nabat/alarms/dc09"
	"nabat/simulators/city"
	"nabat/simulators/sipwire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers datagrams with what reply gives; nothing for nothing.
func serve(t *testing.T, reply func([]byte) [][]byte) string {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { pc.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 65535)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, out := range reply(buf[:n]) {
				pc.WriteTo(out, from)
			}
		}
	}()
	return pc.LocalAddr().String()
}

// receiver acknowledges DC-09 and keeps the data blocks.
type receiver struct {
	mu   sync.Mutex
	data []string
}

func (r *receiver) start(t *testing.T, answer dc09.Reply) string {
	return serve(t, func(raw []byte) [][]byte {
		f, _, err := dc09.Next(raw, true)
		if err != nil {
			return nil
		}
		m, err := dc09.Parse(f)
		if err != nil {
			return nil
		}
		r.mu.Lock()
		r.data = append(r.data, m.Data)
		r.mu.Unlock()
		return [][]byte{dc09.AppendReply(nil, answer, &m, time.Now())}
	})
}

// take gives what was heard since the last time.
func (r *receiver) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.data
	r.data = nil
	return out
}

func phone(t *testing.T) string {
	return serve(t, func(raw []byte) [][]byte {
		m, err := sipwire.Parse(raw)
		if err != nil || m.Method == "ACK" {
			return nil
		}
		ok := sipwire.Answer(m, 200, "OK")
		if m.Method == "INVITE" {
			ok.Body = []byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n")
		}
		return [][]byte{ok.Bytes()}
	})
}

type answer struct {
	code     int
	out, err string
	json     struct {
		Details map[string]any
		Reports []struct {
			Name                     string
			Sent, Acknowledged, Lost int
			Refused, Retried         int
			LatencyMs                map[string]float64
			Notes                    map[string]int
		}
	}
}

func call(t *testing.T, args ...string) answer {
	t.Helper()
	var out, errOut bytes.Buffer
	a := answer{code: run(t.Context(), args, &out, &errOut)}
	a.out, a.err = out.String(), errOut.String()
	if strings.HasPrefix(a.out, "{") {
		require.NoError(t, json.Unmarshal(out.Bytes(), &a.json), a.out)
	}
	return a
}

func TestAlarm(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	addr := r.start(t, dc09.ACK)
	a := call(t, "alarm", "--udp", "--to", addr)
	require.Equal(t, exitWhole, a.code, a.out+a.err)
	school := demo()[0]
	require.Contains(t, a.out, school.Name)
	require.Contains(t, a.out, "ответ: ACK")
	require.Contains(t, a.out, "подтверждено     acknowledged   1")
	require.Equal(t, "#"+school.Panels[0].Account+"|1115 01 001", r.take()[0])

	a = call(t, "alarm", "--udp", "--to", addr, "--account", "ffff01", "--class", "panic", "--zone", "7", "--protocol", "sia-dcs", "--json")
	require.Equal(t, exitWhole, a.code, a.out+a.err)
	require.Equal(t, "#FFFF01|NPA007", r.take()[0])
	require.Equal(t, "ACK", a.json.Details["answer"])
	require.Equal(t, 1, a.json.Reports[0].Acknowledged)
	require.Positive(t, a.json.Reports[0].LatencyMs["p99"])

	for _, f := range demo() {
		if f.Has(city.ZoneGas) {
			a = call(t, "alarm", "--udp", "--to", addr, "--kind", "gas", "--account", f.Panels[0].Account, "--restore")
			require.Equal(t, exitWhole, a.code, a.out+a.err)
			require.Contains(t, r.take()[0], "|3151 04 ")
			break
		}
	}
	require.Equal(t, exitFailed, call(t, "alarm", "--code", "1x1", "--to", addr).code)
	require.Equal(t, exitFailed, call(t, "alarm", "--zone", "1000", "--to", addr).code)
}

func TestLossAndRefusalShow(t *testing.T) {
	t.Parallel()
	silent := serve(t, func([]byte) [][]byte { return nil })
	a := call(t, "alarm", "--udp", "--to", silent, "--wait", "10ms", "--tries", "3")
	require.Equal(t, exitLost, a.code)
	require.Contains(t, a.out, "потеряно         lost           1")
	duh := (&receiver{}).start(t, dc09.DUH)
	a = call(t, "--lang", "en", "alarm", "--udp", "--addr", duh)
	require.Equal(t, exitLost, a.code)
	require.Contains(t, a.out, "answer: DUH")
}

func TestOnlyThisMachineUnlessMeant(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"alarm", "--addr", "192.0.2.1:12000"}, {"panels", "--addr", "192.0.2.1:12000"}, {"call", "--addr", "192.0.2.1:5060"},
		{"sms", "--addr", "192.0.2.1:5060"}, {"duty", "--brokers", "192.0.2.1:9092"}, {"day", "--sip", "192.0.2.1:5060"},
		{"operators", "--login", "x", "--url", "http://192.0.2.1:8112"},
	} {
		a := call(t, args...)
		require.Equal(t, exitFailed, a.code, args)
		require.Contains(t, a.err, "--allow-remote", args)
	}
}

func TestPanels(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	addr := r.start(t, dc09.ACK)
	log := filepath.Join(t.TempDir(), "sent.ndjson")
	a := call(t, "panels", "--udp", "--addr", addr, "--panels", "20", "--count", "200", "--json", "--log", log)
	require.Equal(t, exitWhole, a.code, a.out+a.err)
	require.Equal(t, 200, a.json.Reports[0].Acknowledged)
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	require.Len(t, lines, 200)
	for _, l := range lines {
		var o struct{ Account, Frame, Answer string }
		require.NoError(t, json.Unmarshal(l, &o))
		require.Equal(t, "ACK", o.Answer)
		require.Contains(t, o.Frame, o.Account)
	}
	unique := map[string]bool{}
	for _, d := range r.take() {
		require.False(t, unique[d], d)
		unique[d] = true
	}
	// The same seed says the same again.
	again := []string{"panels", "--udp", "--addr", addr, "--panels", "20", "--each", "10"}
	require.Equal(t, exitWhole, call(t, again...).code)
	said := r.take()
	require.Equal(t, exitWhole, call(t, again...).code)
	require.ElementsMatch(t, said, r.take())

	require.Equal(t, exitWhole, call(t, "panels", "--udp", "--addr", addr, "--panels", "3", "--unknown", "--each", "1", "--mix", "heartbeat").code)
	require.Equal(t, exitFailed, call(t, "panels", "--mix", "nonsense").code)
	require.Equal(t, exitFailed, call(t, "panels", "--panels", "0").code)
}

func TestCallAndSMS(t *testing.T) {
	t.Parallel()
	addr := phone(t)
	a := call(t, "call", "--addr", addr, "--hold", "30ms", "--json")
	require.Equal(t, exitWhole, a.code, a.out+a.err)
	require.Equal(t, "caller", a.json.Details["endedBy"])
	require.Equal(t, exitLost, call(t, "call", "--addr", addr, "--hold", "30ms", "--want-sound").code, "nobody speaks there")
	a = call(t, "call", "--addr", addr, "--hold", "5ms", "--count", "30", "--rate", "500", "--repeat", "1", "--json")
	require.Equal(t, 30, a.json.Reports[0].Acknowledged, a.out)

	a = call(t, "sms", "--addr", addr, "--text", "Дым", "--from", "+70001112233")
	require.Equal(t, exitWhole, a.code, a.out+a.err)
	require.Contains(t, a.out, "отправлено с +70001112233: Дым")
	a = call(t, "sms", "--addr", addr, "--count", "40", "--json")
	require.Equal(t, 40, a.json.Reports[0].Acknowledged, a.out)
}

// This telephone answers at once: there is nothing to cancel, and nobody may
// think that there was.
func TestACancelThatCameTooLateIsNoSuccess(t *testing.T) {
	a := call(t, "--lang", "en", "call", "--to", phone(t), "--cancel", "10s", "--hold", "10ms", "--no-sound")
	require.Equal(t, exitLost, a.code, a.out)
	require.Contains(t, a.err, "not cancelled: 1 calls were answered sooner")
}

func TestDuty(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "nabat.incidents.fire", "nabat.replies.fire"))
	require.NoError(t, err)
	defer c.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()
	id := "0190f5c4-0000-7000-8000-000000000001"
	require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: "nabat.incidents.fire", Key: []byte(id), Value: []byte(
		`{"specversion":"1.0","id":"e1","subject":"` + id + `","time":"2026-01-01T00:00:00Z","data":{"kind":"assigned"}}`)}).FirstErr())
	a := call(t, "duty", "--brokers", c.ListenAddrs()[0], "--speed", "100000", "--count", "1", "--json")
	require.Equal(t, exitWhole, a.code, a.out+a.err)
	require.Equal(t, 6, a.json.Reports[1].Acknowledged)
	require.Equal(t, 1, a.json.Reports[0].Notes["from before the start"])
	a = call(t, "duty", "--brokers", c.ListenAddrs()[0], "--count", "5", "--duration", "300ms", "--speed", "100000")
	require.Equal(t, exitLost, a.code, "four of five never came")
	require.Contains(t, a.err, "происшествий из 5")
	a = call(t, "duty", "--brokers", "127.0.0.1:1", "--duration", "300ms")
	require.Equal(t, exitFailed, a.code, "nobody listens there")
	require.Contains(t, a.err, "Kafka не отвечает: ")
	require.Contains(t, a.err, "127.0.0.1:1")
}

func TestStaffComesFromTheAccessFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo-access.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"console":"http://127.0.0.1:8112","users":[
		{"login":"operator","role":"operator","password":"a"},
		{"login":"operator1","role":"operator","password":"b","simulated":true},
		{"login":"supervisor","role":"supervisor","password":"c","simulated":true},
		{"login":"fire","role":"duty:fire","password":"d","simulated":true}]}`), 0o600))
	console, people, err := staff(path)
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:8112", console)
	require.Len(t, people, 2, "real people's logins are theirs")
	a := call(t, "operators")
	require.Equal(t, exitFailed, a.code)
	require.Contains(t, a.err, "--access")
	require.Equal(t, exitFailed, call(t, "operators", "--access", path+"x").code)
	// Nobody is there: it waits for its time, which is no loss.
	require.Equal(t, exitWhole, call(t, "operators", "--access", path, "--url", "http://127.0.0.1:1", "--duration", "50ms").code)
}

func TestDayEndsWithItsTime(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	a := call(t, "day", "--alarms", r.start(t, dc09.ACK), "--sip", phone(t), "--duration", "400ms", "--json")
	require.Equal(t, exitWhole, a.code, a.out+a.err)
	require.Equal(t, "heartbeats", a.json.Reports[0].Name)
	require.Positive(t, a.json.Reports[0].Acknowledged)
}

func TestHelpHasExamples(t *testing.T) {
	t.Parallel()
	require.Equal(t, exitFailed, call(t, "--nonsense").code)
	for mode := range examples {
		for lang, title := range map[string]string{"ru": "Примеры:", "en": "Examples:"} {
			args := []string{"--lang", lang, "--help"}
			if mode != "" {
				args = append([]string{mode}, args...)
			}
			a := call(t, args...)
			require.Equal(t, exitWhole, a.code, a.err)
			require.Contains(t, a.out, title)
			require.Contains(t, a.out, examples[mode][0])
		}
	}
	for key, p := range words {
		require.NotEmpty(t, p.ru, key)
		require.NotEmpty(t, p.en, key)
	}
	// Every example is a command line that can be read.
	for _, lines := range examples {
		for _, l := range lines {
			require.True(t, strings.HasPrefix(l, "nabatsim "), l)
		}
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut bytes.Buffer
	require.Equal(t, exitWhole, run(ctx, []string{"panels", "--panels", "5", "--each", "1"}, &out, &errOut), out.String()+errOut.String())
}
