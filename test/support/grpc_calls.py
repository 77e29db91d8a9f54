"""Google's own gRPC calls a door: TARGET [CA CERT KEY]. Prints what it was told, as JSON."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

CHECK = "/envoy.service.auth.v3.Authorization/Check"
HEALTH = "/grpc.health.v1.Health/"


def channel():
    target, *tls = sys.argv[1:]
    if not tls:
        return grpc.insecure_channel(target)
    ca, cert, key = (open(path, "rb").read() for path in tls)
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(ca, key, cert))


def code_of(call):
    try:
        return call()
    except grpc.RpcError as error:
        return error.code().name


with channel() as door:
    check = door.unary_unary(CHECK)
    sizes = [0, 1, 1000, 70_000, 250_000]
    with ThreadPoolExecutor(32) as pool:
        many = list(pool.map(lambda i: check(b"m" * i, timeout=30) == b"m" * i, range(500)))
    watch = door.unary_stream(HEALTH + "Watch")(b"", timeout=30)
    told = next(watch)
    watch.cancel()
    print(
        json.dumps(
            {
                "sizes": [len(check(b"m" * size, timeout=30)) for size in sizes],
                "many": all(many),
                "late": code_of(lambda: check(b"never", timeout=0.2)),
                "compressed": check(b"m" * 1000, timeout=30, compression=grpc.Compression.Gzip).decode(),
                "oversized": check(b"m" * 300_000, timeout=30).decode(),
                "unknown": code_of(lambda: door.unary_unary("/no.Such/Method")(b"", timeout=30)),
                "health": door.unary_unary(HEALTH + "Check")(b"", timeout=30).hex(),
                "watch": told.hex(),
            }
        )
    )
