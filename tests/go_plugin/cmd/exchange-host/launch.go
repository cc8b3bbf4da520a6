package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"ferrule.example/goplugin/exchangeplugin"
)

type launch struct {
	path      string
	arguments []string
	mtls      bool
	multiplex bool
	log       bool
}

func (l launch) command() *exec.Cmd {
	return exec.Command(l.path, l.arguments...)
}

func (l launch) client(command *exec.Cmd) *plugin.Client {
	output := io.Discard
	if l.log {
		output = os.Stderr
	}
	return plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:     exchangeplugin.Handshake,
		VersionedPlugins:    exchangeplugin.Plugin{}.Versions(),
		Cmd:                 command,
		AllowedProtocols:    []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:            l.mtls,
		GRPCBrokerMultiplex: l.multiplex,
		Logger:              hclog.New(&hclog.LoggerOptions{Name: "exchange-host", Level: hclog.Debug, Output: output}),
	})
}

func dispense(client *plugin.Client) (exchangeplugin.Client, error) {
	protocol, err := client.Client()
	if err != nil {
		return exchangeplugin.Client{}, fmt.Errorf("start: %w", err)
	}
	raw, err := protocol.Dispense(exchangeplugin.Name)
	if err != nil {
		return exchangeplugin.Client{}, fmt.Errorf("dispense: %w", err)
	}
	return raw.(exchangeplugin.Client), nil
}
