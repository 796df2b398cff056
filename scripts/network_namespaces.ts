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
  /** Runs a command in it to its end and returns what it prints. Throws when it fails. */
  readonly run: (...argv: readonly string[]) => Promise<string>;
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
  ) => Promise<Cable>;
}

/** A cable between two namespaces. */
export interface Cable {
  /** What both ends call their network interface. */
  readonly device: string;
  /** Pulls it out: both ends see that the link is down. */
  readonly pull: () => Promise<void>;
  /** Plugs it in again. */
  readonly plug: () => Promise<void>;
  /** Lets packets vanish, both ways, while the link seems to be up. Needs `nft` (nftables). */
  readonly swallow: () => Promise<void>;
  /** Lets them pass again. */
  readonly pass: () => Promise<void>;
  /** Gives `machine` another address at its end of the cable instead of one that it had. */
  readonly readdress: (machine: NetworkNamespace, from: string, to: string) => Promise<void>;
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
      return {
        name,
        exec: [IP, "netns", "exec", name],
        run: (...argv) => ip("netns", "exec", name, ...argv),
      };
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
      return cableOf(one, device);
    },
    async [Symbol.asyncDispose]() {
      for (const name of made) await ip("netns", "delete", name);
    },
  };
}

function cableOf({ name }: NetworkNamespace, device: string): Cable {
  const table = `swallow_${device}`;
  const nft = (...args: readonly string[]) => run(IP, "netns", "exec", name, "nft", ...args);
  return {
    device,
    // The other end of a veth pair has no carrier then.
    pull: () => ip("-n", name, "link", "set", device, "down").then(() => {}),
    plug: () => ip("-n", name, "link", "set", device, "up").then(() => {}),
    async swallow() {
      await nft("add", "table", "netdev", table);
      for (const hook of ["ingress", "egress"]) {
        const chain = `{ type filter hook ${hook} device ${device} priority 0; policy drop; }`;
        await nft("add", "chain", "netdev", table, hook, chain);
      }
    },
    pass: () => nft("delete", "table", "netdev", table).then(() => {}),
    async readdress(machine, from, to) {
      await ip("-n", machine.name, "address", "del", from, "dev", device);
      await ip("-n", machine.name, "address", "add", to, "dev", device);
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
  return await run(IP, ...args);
}

async function run(program: string, ...args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  if (success) return new TextDecoder().decode(stdout);
  const why = new TextDecoder().decode(stderr).trim();
  throw new Error(`${program} ${args.join(" ")}: ${why}`);
}
