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
/** Few different ones, so that many fit; the mapped ones are IPv4. */
const address = fc.oneof(
  v4,
  v6,
  fc.constantFrom("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "::1", "::"),
  v4.map((text) => `::ffff:${text}`),
);

describe("an address", () => {
  test("is read wherever Node reads one, and nowhere else", () => {
    const like = fc.stringMatching(/^[0-9a-f:.]{0,24}$/);
    fc.assert(
      fc.property(fc.oneof(address, like, fc.string()), (text) => {
        if (text.includes("%")) return;
        expect(parseAddress(text) !== undefined, text).toBe(isIP(text) !== 0);
      }),
      { numRuns: 2000 },
    );
  });

  test("has one spelling, which is Node's", () => {
    fc.assert(
      fc.property(v6, (text) => {
        const read = parseAddress(text);
        if (read === undefined || read.version === 4) return;
        const spelt = formatAddress(read);
        expect(parseAddress(spelt)).toEqual(read);
        // Node writes IPv4-compatible addresses (::1.2.3.4), which RFC 4291 has given up, with dots.
        const { address: nodes } = new SocketAddress({ address: text, family: "ipv6" });
        if (!nodes.includes(".")) expect(spelt).toBe(nodes);
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
  ])("%s is %s", (text, spelt) => {
    const read = parseAddress(text);
    expect(read && formatAddress(read)).toBe(spelt);
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
  ])("%j is none", (text) => expect(parseAddress(text)).toBeUndefined());
});

describe("a network", () => {
  const network = fc.oneof(
    fc.tuple(v4, fc.nat(32)).map(([text, prefix]) => `${text}/${prefix}`),
    fc.tuple(v6, fc.nat(128)).map(([text, prefix]) => `${text}/${prefix}`),
    fc.constantFrom("0.0.0.0/0", "::/0", "10.0.0.0/31", "2001:db8::/127"),
  );

  test("holds the addresses that Node's own list holds, and no other", () => {
    fc.assert(
      fc.property(network, address, (net, text) => {
        const read = parseNetwork(canonicalNetwork(net) ?? "");
        const asked = parseAddress(text);
        if (read === undefined || asked === undefined) return;
        const list = new BlockList();
        const family = read.version === 4 ? "ipv4" : "ipv6";
        list.addSubnet(formatAddress(read), read.prefix, family);
        // A mapped address is IPv4 to us, in no IPv6 network.
        const spelt = formatAddress(asked);
        const wanted =
          read.version === asked.version && list.check(spelt, asked.version === 4 ? "ipv4" : "ipv6");
        expect(contains(read, asked), `${net} ${text}`).toBe(wanted);
      }),
      { numRuns: 2000 },
    );
  });

  test("is taken in its one spelling alone", () => {
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
  ])("%s is written %s", (text, canonical) => {
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
  ])("%j is none", (text) => expect(canonicalNetwork(text)).toBeUndefined());
});
