package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"time"

	"go.uber.org/zap"

	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/node"
)

// serveProfiled is `nabat serve` on a data directory with the settings of a
// measurement; at its end it writes where its time went.
func serveProfiled(data, into string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c config.Config
	c.Data, c.Listen = data, netip.MustParseAddr("127.0.0.1")
	for _, a := range []*config.Address{&c.SIP.UDP, &c.Alarms.UDP, &c.Alarms.TCP, &c.Console.Address, &c.Ops.Address} {
		if err := a.UnmarshalText([]byte(":0")); err != nil {
			return err
		}
	}
	if err := c.SIP.TCP.UnmarshalText([]byte(config.Off)); err != nil {
		return err
	}
	c.Drain = config.Drain{Intake: 10 * time.Second, Relay: 10 * time.Second, Console: 5 * time.Second, Database: 30 * time.Second}
	out, err := os.Create(filepath.Join(into, "engine.cpu"))
	if err != nil {
		return err
	}
	defer out.Close()
	log, err := zap.Config{
		Level: zap.NewAtomicLevelAt(zap.WarnLevel), Encoding: "json", EncoderConfig: zap.NewProductionEncoderConfig(), OutputPaths: []string{"stderr"},
	}.Build()
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	err = node.Run(ctx, c, log, node.Hooks{})
	heap, heapErr := os.Create(filepath.Join(into, "engine.allocs"))
	if heapErr != nil {
		return errors.Join(err, heapErr)
	}
	defer heap.Close()
	return errors.Join(err, pprof.Lookup("allocs").WriteTo(heap, 0))
}
