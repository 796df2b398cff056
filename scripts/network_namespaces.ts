/**
 * Machines in miniature: Linux network namespaces that are joined by veth pairs and know no other network.
 *
 * Names carry this process's id, so that runs beside each other do not clash; what a killed run left
 * behind is removed by the next one. Needs root and `ip` (iproute2).
 */

/** A namespace: a machine with a network of its own. */
export interface NetworkNamespace {
  /** Its name. */
  readonly name: string;
  /** What runs a command in it: the program and the arguments before the command. */
  readonly exec: readonly [string, ...string[]];
}

/** Namespaces that go away together. */
export interface Network extends AsyncDisposable {
  /** Makes a namespace whose own loopback works. */
  readonly machine: (name: string) => Promise<NetworkNamespace>;
  /**
   * Lays a cable between two namespaces.
   *
   * @param ends The addresses of either end with their prefix lengths: `10.0.0.1/24`, `fd00::1/64`.
   */
  readonly cable: (
    machines: readonly [NetworkNamespace, NetworkNamespace],
    ends: readonly [readonly string[], readonly string[]],
  ) => Promise<void>;
}

const PREFIX = "talos-";
const IP = "ip";

/** Returns why namespaces cannot be used here, or null when they can. Tries it out. */
export function whyNoNamespaces(): string | null {
  if (Deno.build.os !== "linux") return "not Linux";
  if (Deno.uid() !== 0) return "not root";
  const probe = `${PREFIX}${Deno.pid}-probe`;
  try {
    const { success, stderr } = new Deno.Command(IP, { args: ["netns", "add", probe] })
      .outputSync();
    if (!success) return new TextDecoder().decode(stderr).trim();
    new Deno.Command(IP, { args: ["netns", "delete", probe] }).outputSync();
    return null;
  } catch {
    return "no ip command";
  }
}

/** Returns an empty network. Removes what killed runs left behind. */
export async function createNetwork(): Promise<Network> {
  await removeLeftovers();
  const made: string[] = [];
  let cables = 0;
  return {
    async machine(label) {
      const name = `${PREFIX}${Deno.pid}-${label}`;
      await ip("netns", "add", name);
      made.push(name);
      await ip("-n", name, "link", "set", "lo", "up");
      return { name, exec: [IP, "netns", "exec", name] };
    },
    async cable([one, other], [oneAddresses, otherAddresses]) {
      const device = `veth${cables++}`;
      // Made inside the namespaces, so no name is taken outside of them.
      await ip(
        ...["link", "add", device, "netns", one.name, "type", "veth"],
        ...["peer", "name", device, "netns", other.name],
      );
      await plugIn(one, device, oneAddresses);
      await plugIn(other, device, otherAddresses);
    },
    async [Symbol.asyncDispose]() {
      for (const name of made) await ip("netns", "delete", name);
    },
  };
}

async function plugIn(
  { name }: NetworkNamespace,
  device: string,
  addresses: readonly string[],
): Promise<void> {
  for (const address of addresses) {
    // Without nodad an IPv6 address is not usable for its first second.
    const options = address.includes(":") ? ["nodad"] : [];
    await ip("-n", name, "address", "add", address, "dev", device, ...options);
  }
  await ip("-n", name, "link", "set", device, "up");
}

/** Removes namespaces of processes that are gone. */
async function removeLeftovers(): Promise<void> {
  for (const line of (await ip("netns", "list")).split("\n")) {
    const [, name, pid] = /^(talos-(\d+)-\S+)/.exec(line) ?? [];
    if (name === undefined || pid === undefined) continue;
    const lives = await Deno.stat(`/proc/${pid}`).then(() => true, () => false);
    if (!lives) await ip("netns", "delete", name);
  }
}

async function ip(...args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(IP, { args: [...args] }).output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}
