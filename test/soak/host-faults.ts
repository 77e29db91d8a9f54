import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { LASTS_MS } from "./durations.ts";
import { policyText, UNLOADABLE } from "./policy.ts";
import type { Soaked, Stdout } from "./soaked.ts";
import type { Steps } from "./steps.ts";

const DAY_SECONDS = 86_400;
const LOST_CLIENTS = 50;

/** Faults that the process survives. */
export const HOST_FAULTS: Steps = {
  async "a policy that cannot be loaded"(soaked, draw) {
    writeFileSync(soaked.policyFile, UNLOADABLE[draw % UNLOADABLE.length] ?? "");
    await pause(LASTS_MS);
    writeFileSync(soaked.policyFile, policyText());
  },
  async "a storm of SIGHUP"(soaked) {
    for (let count = 0; count < 200; count++) {
      soaked.signal("SIGHUP");
      await pause(5);
    }
  },
  async "the clock jumps and comes back"(soaked, draw) {
    soaked.clock.set(DAY_SECONDS * ([8, 15, -8, 0.1][draw % 4] ?? 8));
    await pause(LASTS_MS);
    soaked.clock.set(0);
  },
  async "many scrapes at once"(soaked) {
    await Promise.all(Array.from({ length: 50 }, soaked.scrape));
  },
  async "stopped for a while"(soaked) {
    soaked.signal("SIGSTOP");
    await pause(LASTS_MS);
    soaked.signal("SIGCONT");
  },
  async "Envoy is killed, and started again"(soaked) {
    await soaked.front.restart();
  },
  async "clients that send a part and disappear"({ listener, http, ops }) {
    const places = [listener.address, http, ops];
    const sockets = places.flatMap((place) => Array.from({ length: LOST_CLIENTS }, () => openPart(place)));
    await pause(LASTS_MS);
    for (const socket of sockets) socket.destroy();
  },
};

/** Faults that end the process. */
export const ENDS: Steps = {
  async "killed, and started again"(soaked) {
    await soaked.restart();
  },
  async "started with a stdout that takes nothing"(soaked, draw) {
    const kinds: readonly Stdout[] = ["unread", "closed", "full"];
    await soaked.restart(kinds[draw % kinds.length]);
    await pause(LASTS_MS);
  },
};

/** A connection with the first bytes of HTTP/1, which are none of HTTP/2 and of TLS. */
function openPart(address: Soaked["ops"]): Socket {
  const path = address.startsWith("unix:") ? address.slice("unix:".length) : undefined;
  const [host = "", port = ""] = address.split(":");
  const socket = path === undefined ? connect({ host, port: Number(port) }) : connect({ path });
  socket.on("error", () => undefined);
  socket.write("GET / HTTP/1.1\r\nhost: a");
  return socket;
}
