// Command interop serves gRPC's interoperability test service with grpc-go's own implementation of it.
//
//	interop listen unix:PATH|HOST:PORT  plaintext; prints the bound address and serves until its standard input ends
//	interop plugin                      as a go-plugin plugin, with mutual TLS if the host asks for it
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/interop/grpc_testing"

	"ferrule.example/goplugin/kvplugin"
)

const (
	usage       = "usage: interop listen unix:PATH|HOST:PORT | interop plugin"
	usageStatus = 2
)

func main() {
	switch words := os.Args[1:]; {
	case len(words) == 2 && words[0] == "listen":
		if err := listen(words[1]); err != nil {
			fmt.Fprintf(os.Stderr, "serving on %s failed: %v\n", words[1], err)
			os.Exit(1)
		}
	case len(words) == 1 && words[0] == "plugin":
		servePlugin()
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(usageStatus)
	}
}

func listen(target string) error {
	network, address := "tcp", target
	if path, unix := strings.CutPrefix(target, "unix:"); unix {
		network, address = "unix", path
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	if network == "tcp" {
		target = listener.Addr().String()
	}
	server := newServer(nil)
	register(server)
	fmt.Println(target)
	go func() {
		// The end of whoever holds the other side, however it ends, is the end of this server.
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	return server.Serve(listener)
}

func servePlugin() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  kvplugin.Handshake,
		VersionedPlugins: map[int]plugin.PluginSet{1: {"interop": interopPlugin{}}},
		GRPCServer:       newServer,
	})
}

func newServer(options []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(options, grpc.StatsHandler(compressionWatch{}))...)
}

func register(server *grpc.Server) {
	grpc_testing.RegisterTestServiceServer(server, service{interop.NewTestServer()})
}

// interopPlugin serves the test service and nothing over net/rpc.
type interopPlugin struct {
	plugin.NetRPCUnsupportedPlugin
}

func (interopPlugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	register(server)
	return nil
}

func (interopPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return grpc_testing.NewTestServiceClient(conn), nil
}
