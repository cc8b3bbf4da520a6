// Command exchange is the plugin of the broker tests, on unmodified go-plugin.
package main

import (
	"flag"

	"github.com/hashicorp/go-plugin"

	"ferrule.example/goplugin/exchangeplugin"
)

func main() {
	var served exchangeplugin.Plugin
	flag.BoolVar(&served.Sequential, "sequential", false,
		"dial the host on one broker id at a time: what go-plugin's own host needs when it multiplexes")
	flag.Parse()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  exchangeplugin.Handshake,
		VersionedPlugins: served.Versions(),
		GRPCServer:       plugin.DefaultGRPCServer,
	})
}
