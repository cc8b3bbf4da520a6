package main

import (
	"context"
	"crypto/tls"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/emptypb"

	"ferrule.example/goplugin/kvplugin"
)

// What Terraform providers allow in either direction.
const maxMessageBytes = 256 << 20

const shutdownMethod = "/plugin.GRPCController/Shutdown"

// serveStock leaves everything to go-plugin, whose extension points are enough for most modes.
func serveStock(chosen modes) {
	config := &plugin.ServeConfig{
		HandshakeConfig:  kvplugin.Handshake,
		VersionedPlugins: make(map[int]plugin.PluginSet),
	}
	var served plugin.Plugin = kvplugin.Plugin{}
	if chosen.netRPC {
		served = netRPCPlugin{}
	} else {
		config.GRPCServer = grpcServer(chosen)
	}
	for _, version := range chosen.versions {
		config.VersionedPlugins[version] = plugin.PluginSet{kvplugin.Name: served}
	}
	if chosen.userTLS != "" {
		config.TLSProvider = func() (*tls.Config, error) { return userTLS(chosen.userTLS) }
	}
	if chosen.test {
		serveTest(config)
		return
	}
	plugin.Serve(config)
}

func grpcServer(chosen modes) func([]grpc.ServerOption) *grpc.Server {
	return func(options []grpc.ServerOption) *grpc.Server {
		options = append(options, grpc.MaxRecvMsgSize(maxMessageBytes), grpc.MaxSendMsgSize(maxMessageBytes))
		if chosen.maxAge > 0 {
			options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: chosen.maxAge}))
		}
		if chosen.hangShutdown || chosen.ignoreShutdown {
			options = append(options, grpc.UnaryInterceptor(refuseShutdown(chosen.hangShutdown)))
		}
		if chosen.journal != "" {
			options = append(options, grpc.ChainUnaryInterceptor(journalPuts(chosen.journal)))
		}
		return grpc.NewServer(options...)
	}
}

// refuseShutdown keeps Shutdown from go-plugin's own handler, which is not exported.
func refuseShutdown(hang bool) grpc.UnaryServerInterceptor {
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		if info.FullMethod != shutdownMethod {
			return handler(ctx, request)
		}
		if hang {
			select {}
		}
		// Not go-plugin's own empty message, which is not exported either, but the same on the wire: no bytes.
		return &emptypb.Empty{}, nil
	}
}
