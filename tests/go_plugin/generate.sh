#!/bin/sh
# Regenerate kvpb/ from the service contract. PYTHON names an interpreter that has grpcio-tools, which carries protoc;
# the two Go generators are built from the versions pinned in go.mod.
set -eu
cd "$(dirname "$0")"
contract=../../python/ferrule/testing

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/" google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc

mkdir -p kvpb
PATH="$bin:$PATH" "${PYTHON:-python3}" -m grpc_tools.protoc --proto_path="$contract" \
    --go_out=kvpb --go_opt=paths=source_relative \
    --go-grpc_out=kvpb --go-grpc_opt=paths=source_relative \
    kv.proto
