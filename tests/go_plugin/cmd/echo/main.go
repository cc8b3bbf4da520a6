// Command echo is the server behind the channel benchmark: stock grpc-go that hands message bytes on as they are, so
// that neither side pays for a codec. It listens on a Unix socket, a TCP port or both, in plaintext unless a
// certificate is given or asked for, prints one JSON line when it accepts connections, and ends when its standard
// input does.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// ready is the JSON line: where the server listens, as gRPC targets, and how a client can trust it.
type ready struct {
	Targets     []string `json:"targets"`
	Certificate string   `json:"certificate,omitempty"`
}

func main() {
	var chosen tlsFlags
	unix := flag.String("unix", "", "path of the Unix socket to listen on")
	tcp := flag.String("tcp", "", "host and port to listen on; port 0 lets the system choose")
	flag.StringVar(&chosen.certificate, "certificate", "", "PEM file with the certificate to serve with; needs -key")
	flag.StringVar(&chosen.key, "key", "", "PEM file with the certificate's key")
	flag.StringVar(&chosen.selfSigned, "self-signed", "", "serve with a fresh certificate on this curve: p256 or p521")
	flag.Parse()
	if err := run(*unix, *tcp, chosen); err != nil {
		fmt.Fprintf(os.Stderr, "echo: %v\n", err)
		os.Exit(1)
	}
}

func run(unix, tcp string, chosen tlsFlags) error {
	served, certificatePEM, err := chosen.load()
	if err != nil {
		return err
	}
	options := []grpc.ServerOption{grpc.ForceServerCodecV2(rawCodec{})}
	if served != nil {
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(served)))
	}
	server := grpc.NewServer(options...)
	server.RegisterService(&service, nil)
	listeners, err := listen(unix, tcp)
	if err != nil {
		return err
	}
	announced := ready{Certificate: certificatePEM}
	failed := make(chan error, len(listeners))
	for _, listener := range listeners {
		announced.Targets = append(announced.Targets, target(listener))
		go func() { failed <- server.Serve(listener) }()
	}
	if err := json.NewEncoder(os.Stdout).Encode(announced); err != nil {
		return err
	}
	go func() {
		// Standard input closes with the process that started this one, however that ends.
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	return <-failed
}

func listen(unix, tcp string) ([]net.Listener, error) {
	if unix == "" && tcp == "" {
		return nil, errors.New("neither -unix nor -tcp is given, expected one or both")
	}
	var listeners []net.Listener
	for _, wanted := range [][2]string{{"unix", unix}, {"tcp", tcp}} {
		if wanted[1] == "" {
			continue
		}
		listener, err := net.Listen(wanted[0], wanted[1])
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

func target(listener net.Listener) string {
	if listener.Addr().Network() == "unix" {
		return "unix:" + listener.Addr().String()
	}
	return listener.Addr().String()
}
