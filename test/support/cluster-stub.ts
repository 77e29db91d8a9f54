import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:net";

/** Replies to a script, in RESP. */
export type ScriptReply = (command: "EVAL" | "EVALSHA", reply: (text: string) => void) => void;

const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
const INFO = bulk(
  "redis_mode:cluster\r\nrole:master\r\nrun_id:a\r\nmaster_replid:b\r\nmaster_repl_offset:1\r\n",
);
const CLUSTER_INFO = bulk(
  "cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_fail:0\r\ncluster_current_epoch:1\r\n",
);

/**
 * A node that says that one node serves all slots. A real node cannot be made to redirect or to respond at a chosen moment.
 * @param primaryPort absent: this node itself
 */
export async function startClusterStub(onScript: ScriptReply, primaryPort?: number) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.setEncoding("latin1");
    let received = "";
    socket.on("data", (text) => {
      const { commands, rest } = takeCommands(received + String(text));
      received = rest;
      for (const command of commands) respond(socket, command);
    });
  });
  const respond = (socket: Socket, [name = "", second = ""]: readonly string[]) => {
    const command = name.toUpperCase();
    if (command === "INFO") socket.write(INFO);
    else if (command === "CLUSTER") socket.write(second.toUpperCase() === "INFO" ? CLUSTER_INFO : slots());
    else if (command === "EVAL" || command === "EVALSHA") onScript(command, (text) => socket.write(text));
    else socket.write("+OK\r\n");
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const slots = () =>
    `*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n${bulk("127.0.0.1")}:${primaryPort ?? port}\r\n${bulk("id")}`;
  return {
    port,
    /** The number of connections so far. */
    connections: () => sockets.length,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Splits the complete commands from the beginning of the next one. */
function takeCommands(text: string) {
  const commands: string[][] = [];
  let rest = text;
  for (;;) {
    const [head, count] = /^\*(\d+)\r\n/.exec(rest) ?? [];
    if (head === undefined) return { commands, rest };
    const words: string[] = [];
    let at = head.length;
    while (words.length < Number(count)) {
      const [size = "", length] = /^\$(\d+)\r\n/.exec(rest.slice(at)) ?? [];
      const start = at + size.length;
      const end = start + Number(length);
      if (length === undefined || rest.length < end + 2) return { commands, rest };
      words.push(rest.slice(start, end));
      at = end + 2;
    }
    commands.push(words);
    rest = rest.slice(at);
  }
}
