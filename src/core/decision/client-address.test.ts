import { expect, test } from "vitest";
import { addressGroup, clientAddress } from "./client-address.ts";

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
] as const)("the client's address: %s", (_what, hops, lines, address) => {
  expect(clientAddress("9.9.9.9", lines, hops)).toBe(address);
});

test.each([
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
