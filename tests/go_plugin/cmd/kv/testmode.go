package main

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-plugin"
)

// reattach is a reattach configuration as Terraform's SDK prints it; go-plugin's own holds an interface.
type reattach struct {
	Protocol        string
	ProtocolVersion int
	Pid             int
	Test            bool
	Addr            address
}

type address struct {
	Network string
	String  string
}

// serveTest serves whoever attaches, until SIGTERM.
func serveTest(config *plugin.ServeConfig) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	reattaches, closed := make(chan *plugin.ReattachConfig, 1), make(chan struct{})
	config.Test = &plugin.ServeTestConfig{Context: ctx, ReattachConfigCh: reattaches, CloseCh: closed}
	go plugin.Serve(config)
	given := <-reattaches
	err := json.NewEncoder(os.Stdout).Encode(reattach{
		Protocol:        string(given.Protocol),
		ProtocolVersion: given.ProtocolVersion,
		Pid:             given.Pid,
		Test:            given.Test,
		Addr:            address{Network: given.Addr.Network(), String: given.Addr.String()},
	})
	if err != nil {
		fail("printing the reattach configuration", err)
	}
	<-closed
}
