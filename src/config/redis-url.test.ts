import fc from "fast-check";
import { expect, test } from "vitest";
import { readRedisUrl } from "./redis-url.ts";

const placeOf = (text: string) => {
  const read = readRedisUrl(text);
  return read.ok ? read.place : read.problem;
};

test("a URL names the server, the credentials and the database", () => {
  expect(placeOf("redis://r")).toEqual({ host: "r", tls: false });
  expect(placeOf("redis://r:6380/")).toEqual({ host: "r", port: 6380, tls: false });
  expect(placeOf("rediss://u:p%40ss%25@[::1]:1/15")).toEqual({
    ...{ host: "::1", port: 1, db: 15, username: "u", password: "p@ss%", tls: true },
  });
  expect(placeOf("redis://u,v:p,w@r:1")).toMatchObject({
    username: "u,v",
    password: "p,w",
    host: "r",
    port: 1,
  });
  expect(placeOf("redis://:pw@r/0")).toEqual({ host: "r", password: "pw", db: 0, tls: false });
  expect(placeOf("unix:///run/my%20redis.sock")).toEqual({ socket: "/run/my redis.sock" });
});

test("a URL of Sentinels names each of them, and the master", () => {
  const s1 = { host: "s1", port: 26_379 };
  expect(placeOf("redis+sentinel://s1/m")).toEqual({ sentinels: { addresses: [s1], master: "m" } });
  expect(placeOf("rediss+sentinel://u:p%40@s1,s2:1,[::1]:2,[::2]/my%20m/15")).toEqual({
    sentinels: {
      addresses: [s1, { host: "s2", port: 1 }, { host: "::1", port: 2 }, { host: "::2", port: 26_379 }],
      master: "my m",
    },
    ...{ username: "u", password: "p@", db: 15, tls: true },
  });
  expect(placeOf("redis+sentinel://:p@s1/m")).toMatchObject({ password: "p" });
});

test("a URL of a Cluster names some of its nodes", () => {
  const n1 = { host: "n1", port: 6379 };
  expect(placeOf("redis+cluster://n1")).toEqual({ seeds: [n1] });
  expect(placeOf("rediss+cluster://u:p%40@n1,[::1]:7,n2:1/0")).toEqual({
    seeds: [n1, { host: "::1", port: 7 }, { host: "n2", port: 1 }],
    ...{ username: "u", password: "p@", tls: true },
  });
  expect(placeOf("redis+cluster://:p@n1/")).toEqual({ seeds: [n1], password: "p" });
});

test.each([
  ["another database of a Cluster", "redis+cluster://n1/3", "a Cluster has only database 0"],
  ["a Cluster without a node", "redis+cluster://:p@/0", "must be redis+cluster://"],
  ["a node of a Cluster twice", "redis+cluster://n1,n1:6379", "must be redis+cluster://"],
  ["a master of a Cluster", "redis+cluster://n1/mymaster", "must be redis+cluster://"],
  ["a list of two schemes", "redis+cluster://n1,redis+sentinel://s1", "must be redis+cluster://"],
  ["a query of a Cluster", "redis+cluster://n1?db=0", "takes neither ? nor #"],
  ["a list without Sentinels", "redis://:p@a,b/0", "names several servers"],
  ["a list after a password with a comma", "redis://:p,w@a,b/0", "names several servers"],
  ["a comma in the database", "redis://:p@r/1,2", "must end in /DB"],
  ["a list with ports", "rediss://a:1,b:2", "names several servers"],
  ["a list of URLs", "redis+sentinel://a,redis://b/m", "must be redis+sentinel://"],
  ["no master", "redis+sentinel://s1,s2", "must be redis+sentinel://"],
  ["a master of no length", "redis+sentinel://s1/", "must be redis+sentinel://"],
  ["no Sentinel", "redis+sentinel://:p@/m", "must be redis+sentinel://"],
  ["an empty place in the list", "redis+sentinel://a,,b/m", "must be redis+sentinel://"],
  ["IPv6 without brackets", "redis+sentinel://::1/m", "must be redis+sentinel://"],
  ["port 0 of a Sentinel", "redis+sentinel://s:0/m", "must be redis+sentinel://"],
  ["an invalid database", "redis+sentinel://s/m/x", "must be redis+sentinel://"],
  ["an @ in the password", "redis+sentinel://:p@p@s/m", "must be redis+sentinel://"],
  ["a query after the master", "redis+sentinel://s/m?db=3", "takes neither ? nor #"],
  ["a % in the password", "redis+sentinel://:100%@s/m", "percent-encode it"],
  ["a % that is not part of an escape", "redis://:100%pass@r", "percent-encode it"],
  ["the same in the user", "redis://%zz:p@r", "percent-encode it"],
  ["half a character", "redis://:%ff@r", "percent-encode it"],
  ["a negative database", "redis://r/-1", "must end in /DB"],
  ["a database that is no number", "redis://r/abc", "must end in /DB"],
  ["a slash after the database", "redis://r/3/", "must end in /DB"],
  ["a number that no database has", "redis://r/12345678", "must end in /DB"],
  ["a query", "redis://r?db=3", "takes neither ? nor #"],
  ["a query at a socket", "unix:///run/r.sock?db=3", "takes neither ? nor #"],
  ["a fragment", "redis://r/3#x", "takes neither ? nor #"],
  ["no host", "redis:///3", "must be redis://"],
  ["port 0", "redis://r:0", "must be redis://"],
  ["another scheme", "http://r", "must be redis://"],
  ["no path of a socket", "unix://", "must be redis://"],
])("%s is rejected, with what to do", (_what, text, problem) => {
  expect(placeOf(text)).toContain(problem);
});

test("no text makes it throw, and percent-encoded credentials are read as they were", () => {
  const parts = fc.array(
    fc.constantFrom(
      "redis://",
      "redis+sentinel://",
      "redis+cluster://",
      ",",
      "unix://",
      "%",
      "%zz",
      "@",
      ":",
      "/",
      "3",
      "?",
      "#",
      "[",
      "é",
      "r",
    ),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        parts.map((list) => list.join("")),
      ),
      (text) => void readRedisUrl(text),
    ),
  );
  const credential = fc.string({ unit: "binary", minLength: 1 }).filter((text) => text.isWellFormed());
  fc.assert(
    fc.property(credential, credential, (username, password) => {
      const [user, secret] = [username, password].map(encodeURIComponent);
      expect(placeOf(`redis://${user}:${secret}@r`)).toMatchObject({ username, password });
      expect(placeOf(`redis+sentinel://${user}:${secret}@r/m`)).toMatchObject({ username, password });
    }),
  );
});
