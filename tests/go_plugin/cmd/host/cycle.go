package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"ferrule.example/goplugin/kvpb"
	"ferrule.example/goplugin/kvplugin"
)

const echoBytes = 16

type launch struct {
	path  string
	words []string
	mtls  bool
}

// measurement is one start, first call and stop, of all plugins of the cycle; CPU is this process's own, user and system,
// over the whole cycle.
type measurement struct {
	Cycle       int     `json:"cycle"`
	StartMS     float64 `json:"start_ms"`
	FirstCallMS float64 `json:"first_call_ms"`
	StopMS      float64 `json:"stop_ms"`
	CPUMS       float64 `json:"cpu_ms"`
}

func cycle(chosen launch, atOnce int) (measurement, error) {
	cpu, err := cpuTime()
	if err != nil {
		return measurement{}, err
	}
	begin := time.Now()
	clients := make([]*plugin.Client, atOnce)
	for number := range clients {
		clients[number] = newClient(chosen)
		defer clients[number].Kill()
	}
	kvs := make([]kvpb.KVClient, atOnce)
	err = together(atOnce, func(number int) (err error) {
		kvs[number], err = dispense(clients[number])
		return err
	})
	if err != nil {
		return measurement{}, err
	}
	started := time.Now()
	err = together(atOnce, func(number int) error {
		if _, err := kvs[number].Echo(context.Background(), &kvpb.EchoRequest{Payload: make([]byte, echoBytes)}); err != nil {
			return fmt.Errorf("first call: %w", err)
		}
		return nil
	})
	if err != nil {
		return measurement{}, err
	}
	called := time.Now()
	_ = together(atOnce, func(number int) error {
		clients[number].Kill()
		return nil
	})
	stopped := time.Now()
	cpuAfter, err := cpuTime()
	if err != nil {
		return measurement{}, err
	}
	return measurement{
		StartMS:     milliseconds(started.Sub(begin)),
		FirstCallMS: milliseconds(called.Sub(started)),
		StopMS:      milliseconds(stopped.Sub(called)),
		CPUMS:       milliseconds(cpuAfter - cpu),
	}, nil
}

// together takes one step of all plugins at the same time; one alone on the caller's goroutine.
func together(count int, step func(number int) error) error {
	if count == 1 {
		return step(0)
	}
	failures := make([]error, count)
	var steps sync.WaitGroup
	for number := range count {
		steps.Go(func() { failures[number] = step(number) })
	}
	steps.Wait()
	return errors.Join(failures...)
}

func newClient(chosen launch) *plugin.Client {
	return plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  kvplugin.Handshake,
		VersionedPlugins: map[int]plugin.PluginSet{1: {kvplugin.Name: kvplugin.Plugin{}}},
		Cmd:              exec.Command(chosen.path, chosen.words...),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         chosen.mtls,
		// Parses what the plugin logs, as a host in production does; with logging off go-plugin skips that work.
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: io.Discard}),
	})
}

func dispense(client *plugin.Client) (kvpb.KVClient, error) {
	protocol, err := client.Client()
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	raw, err := protocol.Dispense(kvplugin.Name)
	if err != nil {
		return nil, fmt.Errorf("dispense: %w", err)
	}
	return raw.(kvpb.KVClient), nil
}

func cpuTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

func milliseconds(duration time.Duration) float64 {
	return float64(duration) / float64(time.Millisecond)
}
