import { expect, test } from "vitest";
import { addressGroup, addressNetworks, clientAddress } from "./client-address.ts";

test.each([
  ["no hop is trusted", 0, ["1.1.1.1"], "9.9.9.9"],
  ["one trusted hop", 1, ["6.6.6.6, 1.1.1.1"], "1.1.1.1"],
  ["two trusted hops", 2, ["6.6.6.6, 1.1.1.1, 10.0.0.1"], "1.1.1.1"],
  ["several lines are one list", 2, ["6.6.6.6", "1.1.1.1,10.0.0.1"], "1.1.1.1"],
  ["too few entries", 3, ["1.1.1.1"], "9.9.9.9"],
  ["no header", 1, [], "9.9.9.9"],
  ["an empty entry", 1, ["1.1.1.1,"], "9.9.9.9"],
  ["an entry with a port", 1, ["1.1.1.1:5678"], "1.1.1.1"],
  ["IPv6 with a port", 1, ["[2001:db8::1]:5678"], "2001:db8::1"],
  ["white space that is not OWS stays", 1, ["6.6.6.6,\u00a01.1.1.1"], "\u00a01.1.1.1"],
  ["IPv6", 1, ["2001:db8::1"], "2001:db8::1"],
  ["IPv6 in brackets without a port", 1, ["[2001:db8::1]"], "2001:db8::1"],
  ["a port of several digits", 1, ["192.168.200.100:65535"], "192.168.200.100"],
  ["the first entry", 2, ["1.1.1.1,10.0.0.1"], "1.1.1.1"],
  ["an empty first entry", 2, [",1.1.1.1"], "9.9.9.9"],
  ["an empty line is one entry", 2, ["6.6.6.6,1.1.1.1", ""], "1.1.1.1"],
  ["an empty last line", 1, ["1.1.1.1", ""], "9.9.9.9"],
  ["one more hop than entries", 3, ["6.6.6.6", "1.1.1.1"], "9.9.9.9"],
  ["an address of one letter per entry", 3, ["a,b,c"], "a"],
] as const)("the client's address: %s", (_what, hops, lines, address) => {
  expect(clientAddress("9.9.9.9", lines, hops)).toBe(address);
});

test.each([
  "x[2001:db8::1]:5",
  "[2001:db8::1]:5x",
  "[2001:db8::1]5",
  "[2001:db8::1]:",
  "x1.1.1.1:5",
  "1.1.1.1:5x",
  "1.1.1.1:",
  "1.1.1:5",
  "a.1.1.1:5",
  "1.a.1.1:5",
  "1.1.a.1:5",
  "1.1.1.a:5",
])("only an address that a port follows loses it: %s", (entry) => {
  expect(clientAddress("9.9.9.9", [entry], 1)).toBe(entry);
});

test.each([
  ["192.0.2.1", ["192.0.2.1"]],
  ["::ffff:192.0.2.1", ["192.0.2.1"]],
  ["2001:db8:1:2:3::6", ["2001:db8:1:2::/64", "2001:db8:1::/48"]],
  ["unknown", ["unknown"]],
])("the client %s chooses its address in %j", (address, networks) => {
  expect(addressNetworks(address)).toEqual(networks);
});

test.each([
  ["unknown", "unknown"],
  ["zz::1", "zz::1"],
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:0DB8:0001:0002::9", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8::/64"],
  ["::1", "::/64"],
  ["fe80::1%eth0", "fe80::/64"],
])("a limit per address counts %s as %s", (address, group) => {
  expect(addressGroup(address)).toBe(group);
});
