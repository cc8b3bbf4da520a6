// Package exchangeplugin is the plugin of the broker tests, whose contract is tests/broker/exchange.proto: what it is
// called, how hosts recognise it, what it serves, and the brokered servers that Go hosts of it serve as well.
package exchangeplugin

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"ferrule.example/goplugin/exchangepb"
)

// Name is what a Go host dispenses.
const Name = "exchange"

// Handshake holds the cookie. Its ProtocolVersion stays 0, because versions are announced through VersionedPlugins.
var Handshake = plugin.HandshakeConfig{
	MagicCookieKey:   "FERRULE_EXCHANGE_COOKIE",
	MagicCookieValue: "b7c1-ferrule-exchange",
}

// Plugin serves exchange.Counter over gRPC and nothing over net/rpc.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin

	// Sequential makes the plugin dial the host only when its connection before has served its purpose, as go-plugin
	// asks of multiplexed brokers. Its host needs that: it acknowledges a knock before it waits for the stream, so that
	// of two knocks in quick succession the second listener may take the first stream.
	Sequential bool
}

var _ plugin.GRPCPlugin = Plugin{}

// Client is what a host works with: calls to the plugin, and the host's end of the broker.
type Client struct {
	exchangepb.CounterClient
	Broker *plugin.GRPCBroker
}

// Versions is the one application version there is, for either side.
func (p Plugin) Versions() map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{1: {Name: p}}
}

// GRPCServer registers the service on the plugin's side.
func (p Plugin) GRPCServer(broker *plugin.GRPCBroker, server *grpc.Server) error {
	exchangepb.RegisterCounterServer(server, &counter{
		broker:     broker,
		sequential: p.Sequential,
		values:     make(map[string]int64),
	})
	return nil
}

// GRPCClient answers a Client on the host's side.
func (Plugin) GRPCClient(_ context.Context, broker *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return Client{CounterClient: exchangepb.NewCounterClient(conn), Broker: broker}, nil
}
