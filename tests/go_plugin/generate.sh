#!/bin/sh
# Regenerate kvpb/ and exchangepb/ from the service contracts. PYTHON names an interpreter that has grpcio-tools, which
# carries protoc; the two Go generators are built from the versions pinned in go.mod.
set -eu
cd "$(dirname "$0")"

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/" google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc

# generate CONTRACT PACKAGE
generate() {
    mkdir -p "$2"
    PATH="$bin:$PATH" "${PYTHON:-python3}" -m grpc_tools.protoc --proto_path="$(dirname "$1")" \
        --go_out="$2" --go_opt=paths=source_relative \
        --go-grpc_out="$2" --go-grpc_opt=paths=source_relative \
        "$(basename "$1")"
}

generate ../../python/ferrule/testing/kv.proto kvpb
generate ../broker/exchange.proto exchangepb
