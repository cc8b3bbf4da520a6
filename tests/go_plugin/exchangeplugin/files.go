package exchangeplugin

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/hashicorp/go-plugin"

	"ferrule.example/goplugin/exchangepb"
)

// openFiles counts what this process holds open.
func openFiles() (*exchangepb.FilesResponse, error) {
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, fmt.Errorf("counting descriptors: %w", err)
	}
	sockets, err := countSockets(os.Getenv(plugin.EnvUnixSocketDir))
	if err != nil {
		return nil, fmt.Errorf("counting sockets: %w", err)
	}
	// One less for the descriptor that reading the directory took.
	return &exchangepb.FilesResponse{Descriptors: uint32(len(descriptors) - 1), Sockets: sockets}, nil
}

func countSockets(directory string) (uint32, error) {
	if directory == "" {
		return 0, nil
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		return 0, err
	}
	count := uint32(0)
	for _, entry := range entries {
		if entry.Type()&fs.ModeSocket != 0 {
			count++
		}
	}
	return count, nil
}
