import { BlockList, isIP, SocketAddress } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  canonicalNetwork,
  contains,
  formatAddress,
  formatNetwork,
  parseAddress,
  parseNetwork,
} from "./ip-network.ts";

const v4 = fc.ipV4();
const v6 = fc.ipV6();
/** A few fixed addresses, so that many match. The mapped ones are IPv4. */
const address = fc.oneof(
  v4,
  v6,
  fc.constantFrom("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "::1", "::"),
  v4.map((text) => `::ffff:${text}`),
);

describe("an address", () => {
  test("is parsed if and only if Node parses it", () => {
    const like = fc.stringMatching(/^[0-9a-f:.]{0,24}$/);
    fc.assert(
      fc.property(fc.oneof(address, like, fc.string()), (text) => {
        if (text.includes("%")) return;
        expect(parseAddress(text) !== undefined, text).toBe(isIP(text) !== 0);
      }),
      { numRuns: 2000 },
    );
  });

  test("has one canonical form, which is Node's", () => {
    fc.assert(
      fc.property(v6, (text) => {
        const read = parseAddress(text);
        if (read === undefined || read.version === 4) return;
        const formatted = formatAddress(read);
        expect(parseAddress(formatted)).toEqual(read);
        // Node formats IPv4-compatible addresses (::1.2.3.4), which RFC 4291 deprecates, with dots.
        const { address: nodes } = new SocketAddress({ address: text, family: "ipv6" });
        if (!nodes.includes(".")) expect(formatted).toBe(nodes);
      }),
    );
  });

  test.each([
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:c000:0201", "192.0.2.1"],
    ["2001:0DB8::0001", "2001:db8::1"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:0:2:2:0:0:3", "1::2:2:0:0:3"],
    ["1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0"],
    ["fe80::1%eth0", "fe80::1"],
  ])("%s is %s", (text, formatted) => {
    const read = parseAddress(text);
    expect(read && formatAddress(read)).toBe(formatted);
  });

  test.each([
    "",
    "1.2.3",
    "01.2.3.4",
    "1.2.3.256",
    "1.2.3.4 ",
    "0x7f.0.0.1",
    "2130706433",
    ":::",
    "1::2::3",
    "12345::",
    "::1.2.3",
    "1:2:3:4:5:6:7:8::",
  ])("%j is not an address", (text) => expect(parseAddress(text)).toBeUndefined());
});

describe("a network", () => {
  const network = fc.oneof(
    fc.tuple(v4, fc.nat(32)).map(([text, prefix]) => `${text}/${prefix}`),
    fc.tuple(v6, fc.nat(128)).map(([text, prefix]) => `${text}/${prefix}`),
    fc.constantFrom("0.0.0.0/0", "::/0", "10.0.0.0/31", "2001:db8::/127"),
  );

  test("contains exactly the addresses that Node's BlockList contains", () => {
    fc.assert(
      fc.property(network, address, (net, text) => {
        const read = parseNetwork(canonicalNetwork(net) ?? "");
        const requested = parseAddress(text);
        if (read === undefined || requested === undefined) return;
        const list = new BlockList();
        const family = read.version === 4 ? "ipv4" : "ipv6";
        list.addSubnet(formatAddress(read), read.prefix, family);
        // We treat a mapped address as IPv4, so no IPv6 network contains it.
        const formatted = formatAddress(requested);
        const expected =
          read.version === requested.version &&
          list.check(formatted, requested.version === 4 ? "ipv4" : "ipv6");
        expect(contains(read, requested), `${net} ${text}`).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  test("is parsed only in its canonical form", () => {
    fc.assert(
      fc.property(network, (text) => {
        const canonical = canonicalNetwork(text);
        if (canonical === undefined) return;
        const read = parseNetwork(canonical);
        expect(read && formatNetwork(read)).toBe(canonical);
        if (text !== canonical) expect(parseNetwork(text)).toBeUndefined();
      }),
    );
  });

  test.each([
    ["10.1.2.3/8", "10.0.0.0/8"],
    ["2001:DB8::/32", "2001:db8::/32"],
    ["::ffff:10.0.0.0/104", "10.0.0.0/8"],
    ["::ffff:0:0/96", "0.0.0.0/0"],
    ["10.0.0.0/08", "10.0.0.0/8"],
  ])("%s has the canonical form %s", (text, canonical) => {
    expect([parseNetwork(text), canonicalNetwork(text)]).toEqual([undefined, canonical]);
  });

  test.each([
    "",
    "10.0.0.0",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "::/129",
    "::ffff:10.0.0.0/95",
    "10.0.0.0/8 ",
    "fe80::%eth0/64",
    "/8",
    "a/8",
    " 10.0.0.0/8",
    "x10.0.0.0/8",
    "10.0.0.0/8x",
    "10.0.0.0/0008",
  ])("%j is not a network", (text) =>
    expect([canonicalNetwork(text), parseNetwork(text)]).toEqual([undefined, undefined]),
  );

  test.each(["192.0.2.1/32", "0.0.0.0/0", "2001:db8::1/128", "::/0"])("%s is a network", (text) => {
    expect(canonicalNetwork(text)).toBe(text);
  });
});
