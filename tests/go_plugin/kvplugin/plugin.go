// Package kvplugin is the key-value plugin of the tests: what it is called, how hosts recognise it and what it serves.
package kvplugin

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"ferrule.example/goplugin/kvpb"
)

// Name is what a Go host dispenses.
const Name = "kv"

// Handshake holds the cookie. Its ProtocolVersion stays 0, because versions are announced through VersionedPlugins.
var Handshake = plugin.HandshakeConfig{
	MagicCookieKey:   "FERRULE_KV_COOKIE",
	MagicCookieValue: "5f1d0a86-ferrule-kv",
}

// Plugin serves kv.KV over gRPC and nothing over net/rpc.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin
}

var _ plugin.GRPCPlugin = Plugin{}

// GRPCServer registers the service on the plugin's side.
func (Plugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	kvpb.RegisterKVServer(server, newService())
	return nil
}

// GRPCClient answers a kvpb.KVClient on the host's side.
func (Plugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return kvpb.NewKVClient(conn), nil
}
