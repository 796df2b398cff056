/** A TCP proxy that keeps every byte it passes on: what somebody on the wire would see. */

/** A running proxy. */
export interface RecordingProxy extends Disposable {
  /** Where to connect instead. */
  readonly port: number;
  /** All bytes so far, in both directions, one after the other per chunk. */
  readonly bytes: () => Uint8Array;
}

/** Passes connections to `127.0.0.1:target` on and records them. */
export function recordingProxy(target: number): RecordingProxy {
  const chunks: Uint8Array[] = [];
  const open = new Set<Deno.Conn>();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const pump = async (from: Deno.Conn, to: Deno.Conn) => {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
        const chunk = buffer.slice(0, count);
        chunks.push(chunk);
        for (let at = 0; at < chunk.length;) at += await to.write(chunk.subarray(at));
      }
      await to.closeWrite();
    } catch {
      // one of the two is gone: so is the connection
    }
  };
  const accept = async () => {
    for await (const near of listener) {
      const far = await Deno.connect({ hostname: "127.0.0.1", port: target });
      near.setNoDelay(true);
      far.setNoDelay(true);
      open.add(near).add(far);
      void Promise.all([pump(near, far), pump(far, near)]).then(() => {
        near.close();
        far.close();
        open.delete(near);
        open.delete(far);
      });
    }
  };
  void accept();
  return {
    port: listener.addr.port,
    bytes: () => {
      const whole = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.length, 0));
      let at = 0;
      for (const chunk of chunks) {
        whole.set(chunk, at);
        at += chunk.length;
      }
      return whole;
    },
    [Symbol.dispose]: () => listener.close(),
  };
}
