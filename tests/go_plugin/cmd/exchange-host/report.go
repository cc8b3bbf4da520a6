package main

import (
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// report is the JSON line. Misrouted errors are among Errors as well.
type report struct {
	Sum       int64    `json:"sum"`
	Exchanges int      `json:"exchanges"`
	Misrouted int      `json:"misrouted"`
	Left      files    `json:"left"`
	Errors    []string `json:"errors"`

	mutex sync.Mutex
}

// files is what the plugin holds open more after the exchanges than before them.
type files struct {
	Descriptors int `json:"descriptors"`
	Sockets     int `json:"sockets"`
}

func (r *report) add(err error) {
	if err == nil {
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if status.Code(err) == codes.FailedPrecondition {
		r.Misrouted++
	}
	r.Errors = append(r.Errors, err.Error())
}
