package main

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-plugin"

	"ferrule.example/goplugin/kvplugin"
)

// serveAnnounced is for the modes that need a listener or a handshake line that plugin.Serve does not offer. The server
// behind it, with health, controller, stdio and broker, is still go-plugin's own.
func serveAnnounced(chosen modes) {
	if os.Getenv(kvplugin.Handshake.MagicCookieKey) != kvplugin.Handshake.MagicCookieValue {
		fmt.Fprintf(os.Stderr, "This binary is a plugin: %s is not set as a host sets it.\n",
			kvplugin.Handshake.MagicCookieKey)
		os.Exit(1)
	}
	listener, err := listen(chosen.tcp)
	if err != nil {
		fail("listening", err)
	}
	// Removes the file of a Unix socket as well.
	defer listener.Close()
	identity, err := newIdentity(chosen)
	if err != nil {
		fail("configuring TLS", err)
	}
	stdoutReader, stdoutWriter := pipe()
	stderrReader, stderrWriter := pipe()
	server := &plugin.GRPCServer{
		Plugins: map[string]plugin.Plugin{kvplugin.Name: kvplugin.Plugin{}},
		Server:  grpcServer(chosen),
		TLS:     identity.config,
		DoneCh:  make(chan struct{}),
		Stdout:  stdoutReader,
		Stderr:  stderrReader,
	}
	if err := server.Init(); err != nil {
		fail("initialising the server", err)
	}
	fmt.Printf("%d|%d|%s|%s|grpc|%s\n", plugin.CoreProtocolVersion, negotiate(chosen.versions),
		listener.Addr().Network(), listener.Addr(), base64.RawStdEncoding.EncodeToString(identity.announced))
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	os.Stdout, os.Stderr = stdoutWriter, stderrWriter
	server.Serve(listener)
}

func listen(tcp bool) (net.Listener, error) {
	if tcp {
		return listenTCP()
	}
	// Created and removed for a name that nothing else has.
	file, err := os.CreateTemp(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "plugin")
	if err != nil {
		return nil, err
	}
	path := file.Name()
	if err := file.Close(); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return net.Listen("unix", filepath.Clean(path))
}

// listenTCP takes the first free port of the host's range, as go-plugin does on Windows.
func listenTCP() (net.Listener, error) {
	lowest, err := port("PLUGIN_MIN_PORT")
	if err != nil {
		return nil, err
	}
	highest, err := port("PLUGIN_MAX_PORT")
	if err != nil {
		return nil, err
	}
	for candidate := lowest; candidate <= highest; candidate++ {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(candidate)))
		if err == nil {
			return listener, nil
		}
	}
	return nil, fmt.Errorf("no free port on 127.0.0.1 from %d to %d", lowest, highest)
}

// port reads a port number; an unset variable is 0, which lets the system choose.
func port(variable string) (int, error) {
	value := os.Getenv(variable)
	if value == "" {
		return 0, nil
	}
	return strconv.Atoi(value)
}

// negotiate chooses the highest version that the host offers, else the lowest one, which the host will refuse.
func negotiate(versions []int) int {
	offered := strings.Split(os.Getenv("PLUGIN_PROTOCOL_VERSIONS"), ",")
	ascending := slices.Sorted(slices.Values(versions))
	for _, version := range slices.Backward(ascending) {
		if slices.Contains(offered, strconv.Itoa(version)) {
			return version
		}
	}
	return ascending[0]
}

func pipe() (reader, writer *os.File) {
	reader, writer, err := os.Pipe()
	if err != nil {
		fail("making a pipe", err)
	}
	return reader, writer
}
