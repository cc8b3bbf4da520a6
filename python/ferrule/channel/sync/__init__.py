"""gRPC channels on the Rust core, under the interface of `grpc`: blocking, for scripts and threads.

Example:
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import grpc
    >>> from ferrule.channel.sync import insecure_channel
    >>> class Echo(grpc.GenericRpcHandler):
    ...     def service(self, call):
    ...         return grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    >>> server = grpc.server(ThreadPoolExecutor(), handlers=[Echo()])
    >>> port = server.add_insecure_port("127.0.0.1:0")
    >>> server.start()
    >>> with insecure_channel(f"127.0.0.1:{port}") as channel:
    ...     channel.unary_unary("/example.Echo/Say")(b"hello", timeout=10)
    b'hello'
    >>> server.stop(None).wait(10)
    True
"""

from ferrule.channel.sync.channel import SyncChannel, insecure_channel, secure_channel

__all__ = ["SyncChannel", "insecure_channel", "secure_channel"]
