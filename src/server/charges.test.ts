import { expect, test } from "vitest";
import type { Listen } from "../config/parsers.ts";
import { isReachedByProxyOnly } from "./charges.ts";

const tcp = (host: string): Listen => ({ kind: "tcp", host, port: 9191 });

test.each<[string, Listen, boolean]>([
  ["loopback", tcp("127.0.0.1"), true],
  ["loopback in IPv6", tcp("::1"), true],
  ["a Unix socket", { kind: "unix", path: "/run/latchkey/grpc.sock" }, true],
  ["every interface", tcp("0.0.0.0"), false],
  ["every interface in IPv6", tcp("::"), false],
  ["an address of the machine", tcp("192.0.2.7"), false],
  ["a name that begins like loopback", tcp("127.0.0.1.example.com"), false],
])(
  "charges are served on %s only where clients need a certificate, unless it is local",
  (_name, GRPC_LISTEN, isLocal) => {
    expect(isReachedByProxyOnly({ GRPC_LISTEN, GRPC_TLS_CLIENT_CA: undefined })).toBe(isLocal);
    expect(isReachedByProxyOnly({ GRPC_LISTEN, GRPC_TLS_CLIENT_CA: "/etc/ca.crt" })).toBe(true);
  },
);
