/**
 * Records what goes over a TCP port of this machine, as somebody on the wire sees it: with tcpdump where
 * it is installed and permitted, else with a proxy that keeps what it passes on.
 */

import { recordingProxy } from "./recording_proxy.ts";

/** A port that is recorded. */
export interface RecordedPort {
  /** Where to connect so that it is: the port itself, or that of the proxy in front of it. */
  readonly port: number;
  /** Ends the recording, once, and returns everything recorded, headers of packets included. */
  readonly stop: () => Promise<Uint8Array>;
}

/** A way to record. */
export interface WireRecorder {
  /** What it is called. */
  readonly name: "tcpdump" | "proxy";
  /** Begins to record the connections to `port` of the loopback interface. */
  readonly record: (port: number) => Promise<RecordedPort>;
}

/** Records with tcpdump, which needs its own permissions. */
export const TCPDUMP: WireRecorder = {
  name: "tcpdump",
  async record(port) {
    const file = await Deno.makeTempFile({ suffix: ".pcap" });
    const child = new Deno.Command("tcpdump", {
      args: ["-i", "any", "--immediate-mode", "-U", "-w", file, `tcp port ${port}`],
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const says = await child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    let said = "";
    while (!said.includes("listening on")) {
      const { done, value } = await says.read();
      if (done) throw new Error(`tcpdump does not record: ${said.trim()}`);
      said += value;
    }
    return {
      port,
      async stop() {
        child.kill("SIGINT");
        await child.status;
        await says.cancel();
        const bytes = await Deno.readFile(file);
        await Deno.remove(file);
        return bytes;
      },
    };
  },
};

/** Records with a proxy. */
export const PROXY: WireRecorder = {
  name: "proxy",
  record(port) {
    const proxy = recordingProxy(port);
    return Promise.resolve({
      port: proxy.port,
      stop() {
        const bytes = proxy.bytes();
        proxy[Symbol.dispose]();
        return Promise.resolve(bytes);
      },
    });
  },
};

/** Returns why tcpdump cannot record here, or null when it can. Tries it out. */
export async function whyNoTcpdump(): Promise<string | null> {
  try {
    const recording = await TCPDUMP.record(1);
    await recording.stop();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
