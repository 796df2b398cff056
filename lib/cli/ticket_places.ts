/** What a ticket says of places: where its host listens, and the registry that knows it. Pure. */

import type { RegistryAddress } from "../discovery/registry_address.ts";
import { publishedAddresses } from "../discovery/local_addresses.ts";
import { IdentityError } from "../identity/errors.ts";
import type { HostPort } from "../identity/host_port.ts";
import { type InterfaceAddress, scopeOf } from "../identity/ip_address.ts";
import { encodeTicket, type Ticket } from "../identity/ticket.ts";
import { MAX_TICKET_ADDRESSES } from "../limits.ts";

/** An interface of this machine. */
export interface NamedAddress extends InterfaceAddress {
  /** What the system calls the interface. */
  readonly name?: string;
}

/** Networks between this machine and what runs in it: nobody else is there. */
const INNER = /^(?:docker|br-|veth|virbr|cni|flannel|podman|lxc|lxdbr|vmnet|vboxnet|bridge1\d\d)/;

/**
 * Returns where a process that listens on `port` of `listenHost` (undefined for all addresses) is reached, best first.
 * What only this machine reaches is named where there is nothing else: then that is what was wanted.
 */
export function ticketAddresses(
  interfaces: readonly NamedAddress[],
  port: number,
  listenHost?: string,
): readonly HostPort[] {
  if (listenHost !== undefined && listenHost !== "0.0.0.0" && listenHost !== "::") {
    return [{ host: listenHost, port }];
  }
  const heard = interfaces.filter(({ family }) => listenHost !== "0.0.0.0" || family === "IPv4");
  const outer = heard.filter(({ name = "" }) => !INNER.test(name));
  const addressesOf = (of: readonly NamedAddress[], registryIsLocal: boolean) =>
    publishedAddresses({ interfaces: of.map(({ address }) => address), registryIsLocal }, port);
  for (const isLocal of [false, true]) {
    for (const among of [outer, heard]) {
      const found = addressesOf(among, isLocal);
      if (found.length > 0) return spread(found);
    }
  }
  return [];
}

/** One of each kind comes first: of three addresses of one kind the first is most often as good as all. */
function spread(addresses: readonly HostPort[]): readonly HostPort[] {
  const kindOf = ({ host }: HostPort) => `${scopeOf(host)} ${host.includes(":")}`;
  const firsts = addresses.filter((address, at) =>
    addresses.findIndex((other) => kindOf(other) === kindOf(address)) === at
  );
  const usual = firsts.filter(({ host }) => !host.includes(":"));
  const ordered = [...usual, ...firsts.filter((one) => !usual.includes(one))];
  return [...ordered, ...addresses.filter((one) => !ordered.includes(one))]
    .slice(0, MAX_TICKET_ADDRESSES);
}

/** Returns a registry as other machines name it: one on this very machine has one of its addresses there. */
export function registryElsewhere(
  registry: RegistryAddress,
  addresses: readonly HostPort[],
): RegistryAddress {
  const isHere = registry.host === "localhost" || scopeOf(registry.host) === "loopback";
  const own = addresses.find(({ host }) => scopeOf(host) !== "loopback");
  return isHere && own !== undefined ? { ...registry, host: own.host } : registry;
}

/** A ticket that fits, and what did not fit into it. */
export interface FittedTicket {
  /** Its one line. */
  readonly text: string;
  /** What it says. */
  readonly ticket: Ticket;
}

/**
 * Returns the ticket with as many of its addresses as fit, the best first; its join token goes before addresses, since the
 * registry leads to the host as well, and is left out where it alone is too long. Throws IdentityError "ticket_too_long".
 */
export function fittedTicket(wanted: Ticket): FittedTicket {
  const { token: _, ...withoutToken } = wanted;
  const least = wanted.registry === undefined ? Math.min(1, wanted.addresses.length) : 0;
  let tooLong: IdentityError | undefined;
  for (const base of [wanted, withoutToken]) {
    for (let count = wanted.addresses.length; count >= least; count--) {
      const ticket = { ...base, addresses: wanted.addresses.slice(0, count) };
      try {
        return { text: encodeTicket(ticket), ticket };
      } catch (error) {
        if (!(error instanceof IdentityError) || error.code !== "ticket_too_long") throw error;
        tooLong = error;
      }
    }
  }
  throw tooLong;
}
