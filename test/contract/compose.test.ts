import { existsSync, readFileSync } from "node:fs";
import { BlockList } from "node:net";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { readConfig } from "../../src/config/load.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { COMPOSE_FOLDER, OVERLAYS, readCompose } from "../support/compose.ts";
import { imageEnvironment } from "../support/dockerfile.ts";
import { newSecret } from "../support/keys.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FILES = [undefined, ...OVERLAYS];

test.each(FILES)(
  "Latchkey starts in production with exactly the image's and the service's settings (%s)",
  (overlay) => {
    const { latchkey } = readCompose(overlay).services;
    const config = readConfig({ ...imageEnvironment(), ...latchkey?.environment }, (path) => {
      expect(path).toMatch(/^\/run\/secrets\//);
      return newSecret();
    });
    expect(config).toMatchObject({ ok: true, settings: { STORE: "redis", ENVIRONMENT: "production" } });
  },
);

test.each(FILES)(
  "each name in its environment is a setting, and each secret's file is mounted (%s)",
  (overlay) => {
    const compose = readCompose(overlay);
    const { latchkey } = compose.services;
    const names = Object.keys(latchkey?.environment ?? {}).map((name) => name.replace(/_FILE$/, ""));
    expect(names.filter((name) => !Object.hasOwn(SETTINGS, name))).toEqual([]);
    for (const service of Object.values(compose.services)) {
      const files = Object.values(service.environment).flatMap(
        (value) => /^\/run\/secrets\/(.*)$/.exec(value)?.[1] ?? [],
      );
      expect(files.filter((name) => !service.secrets.includes(name))).toEqual([]);
      expect(service.secrets.filter((name) => !Object.hasOwn(compose.secrets, name))).toEqual([]);
    }
  },
);

test.each(FILES)("every mounted file exists, and no port is open beyond this host (%s)", (overlay) => {
  for (const { volumes, ports, build } of Object.values(readCompose(overlay).services)) {
    const sources = volumes
      .map((volume) => volume.split(":")[0] ?? "")
      .filter((source) => source.startsWith("."));
    expect(sources.filter((source) => !existsSync(resolve(COMPOSE_FOLDER, source)))).toEqual([]);
    expect(ports.filter((port) => !port.startsWith("127.0.0.1:"))).toEqual([]);
    if (build) expect(existsSync(resolve(COMPOSE_FOLDER, build.context, "Dockerfile"))).toBe(true);
  }
});

test.each(OVERLAYS)(
  "each address of %s belongs to one service, and none is given to another container",
  (overlay) => {
    const { services, networks } = readCompose(overlay);
    const addresses = Object.values(services).flatMap(({ networks: own }) => own?.default.ipv4_address ?? []);
    expect(new Set(addresses).size).toBe(addresses.length);
    const [range] = networks?.default.ipam.config ?? [];
    const [subnet, given] = [range?.subnet, range?.ip_range].map(blockOf);
    for (const address of addresses)
      expect([subnet?.check(address), given?.check(address)]).toEqual([true, false]);
    const named = JSON.stringify(services).match(/172\.\d+\.\d+\.\d+/g) ?? [];
    expect(named.filter((address) => !addresses.includes(address))).toEqual([]);
  },
);

function blockOf(range = ""): BlockList {
  const [network = "", prefix] = range.split("/");
  const block = new BlockList();
  block.addSubnet(network, Number(prefix));
  return block;
}

test("its Envoy is the sidecar example, except for three addresses and their discovery", () => {
  const text = readFileSync(join(COMPOSE_FOLDER, "envoy.yaml"), "utf8");
  const back = text
    .replace("address: 0.0.0.0, port_value: 10000", "address: 127.0.0.1, port_value: 10000")
    .replace("address: latchkey, port_value", "address: 127.0.0.1, port_value")
    .replace("address: upstream, port_value", "address: 127.0.0.1, port_value")
    .replaceAll("type: STRICT_DNS", "type: STATIC");
  expect(parse(back)).toEqual(parse(readFileSync(join(ROOT, "envoy/sidecar.yaml"), "utf8")));
});
