package main

import (
	"errors"
	"net/rpc"

	"github.com/hashicorp/go-plugin"
)

// netRPCPlugin has no gRPC side, so that go-plugin announces netrpc.
type netRPCPlugin struct{}

func (netRPCPlugin) Server(*plugin.MuxBroker) (any, error) {
	return &netRPCService{}, nil
}

func (netRPCPlugin) Client(*plugin.MuxBroker, *rpc.Client) (any, error) {
	return nil, errors.New("the net/rpc mode exists for its handshake line; it has no client")
}

type netRPCService struct{}

// Echo answers its argument.
func (*netRPCService) Echo(text string, answer *string) error {
	*answer = text
	return nil
}
