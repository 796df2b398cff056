/** `talos invite`: makes a ticket, by which whoever holds it is let in. */

import { pinnedKey } from "../../discovery/registry_keys.ts";
import type { Database } from "../../identity/database.ts";
import { ensureHome } from "../../identity/home.ts";
import { DEFAULT_PEER_PORT, formatHostPort, type HostPort } from "../../identity/host_port.ts";
import { addInvite, type Invite } from "../../identity/invites.ts";
import { updateInvites } from "../../identity/invites_file.ts";
import {
  DEFAULT_SERVER,
  mcpService,
  parsePetname,
  parseServerName,
  serverOf,
  serviceLabel,
  type ServiceName,
} from "../../identity/names.ts";
import { interfaceAddresses } from "../../identity/network_interfaces.ts";
import type { PeerId } from "../../identity/peer_id.ts";
import { readRunFiles, type RunFile } from "../../identity/run_files.ts";
import { type Ticket, TICKET_SECRET_BYTES } from "../../identity/ticket.ts";
import { readWallet } from "../../identity/wallet_file.ts";
import { inviteIdOf, inviteKeyOf } from "../../session/join.ts";
import type { Context } from "../context.ts";
import { parseDuration } from "../duration.ts";
import { ensureIdentity } from "../ensure_identity.ts";
import { CliError } from "../errors.ts";
import { openOwnDatabase } from "../own_database.ts";
import type { NextStep } from "../output.ts";
import { chooseRegistry, joinToken, type RegistryFlags } from "../registry_choice.ts";
import { fittedTicket, registryElsewhere, ticketAddresses } from "../ticket_places.ts";

/** The options of `talos invite`. */
export interface InviteOptions extends RegistryFlags {
  /** The server that the ticket is for; when absent the one that runs here, or `default`. */
  readonly service?: string;
  /** For how long it holds. */
  readonly expires: string;
  /** How many may use it. */
  readonly uses: number;
  /** What those who use it are to be called here. */
  readonly name?: string;
}

/** Makes an invite and prints its ticket. Throws TalosError. */
export async function inviteCommand(context: Context, options: InviteOptions): Promise<void> {
  const { paths, log, output, clock, random } = context;
  await ensureIdentity(context);
  const { peerId } = await readWallet(paths);
  await ensureHome(paths, log);
  using database = await openOwnDatabase(paths);
  const runs = readRunFiles(paths);
  const service = chosenService(runs, options.service);
  const run = runs.find(({ services }) => services.includes(service));
  const petname = options.name === undefined ? null : parsePetname(options.name);
  const secret = random(TICKET_SECRET_BYTES);
  const now = clock.now();
  // A ticket counts whole seconds; the invite ends when its ticket says so.
  const expires = Math.ceil((now + parseDuration(options.expires)) / 1000) * 1000;
  // A process without a port is reached by the registry's relay alone.
  const port = run?.port ?? DEFAULT_PEER_PORT;
  const addresses = port === 0 ? [] : ticketAddresses(interfaceAddresses(log), port, run?.host);
  const { text, ticket } = fittedTicket({
    host: peerId,
    service,
    secret,
    expires,
    addresses,
    ...await registryOf(context, database, options, addresses),
  });
  if (ticket.registry === undefined && ticket.addresses.length === 0) throw nowhere();
  const invite: Invite = {
    id: inviteIdOf(secret),
    key: inviteKeyOf(secret),
    service,
    petname,
    uses: options.uses,
    usedBy: [],
    createdAt: now,
    expires,
    revokedAt: null,
  };
  await updateInvites(paths, (invites) => [addInvite(invites, invite, now), undefined]);
  if (!output.json) say(context, invite, run, peerId);
  output.result(text, valueOf(invite, ticket, text, run), steps(invite, text, run));
}

/** Returns the service that is meant. Throws CliError where several run and none is named. */
function chosenService(runs: readonly RunFile[], typed: string | undefined): ServiceName {
  if (typed !== undefined) return mcpService(parseServerName(typed.replace(/^mcp\//, "")));
  const running = runs.flatMap(({ services }) => services).filter((one) => serverOf(one) !== null);
  const usual = mcpService(DEFAULT_SERVER);
  const [only, ...others] = running;
  if (only === undefined || running.includes(usual)) return usual;
  if (others.length === 0) return only;
  const labels = running.map(serviceLabel);
  throw new CliError("usage", `Cannot tell what the invite is for: ${labels.join(", ")} run here`, {
    hints: labels.map((label) => `name one: talos invite --service ${label}`),
  });
}

/** Returns what the ticket says of the registry: nothing where nobody chose one, or its key is not known yet. */
async function registryOf(
  context: Context,
  database: Database,
  flags: RegistryFlags,
  addresses: readonly HostPort[],
): Promise<Pick<Ticket, "registry" | "token">> {
  const { address, chosenBy } = chooseRegistry(context, database, flags);
  if (chosenBy === "default") return {};
  const id = address.id ?? pinnedKey(database, address);
  if (id === undefined) {
    const registry = formatHostPort(address);
    context.log.warn("the ticket does not name the registry: its key is not known here yet", {
      registry,
      cure: `talos register --server ${registry}`,
    });
    return {};
  }
  const { host, port } = registryElsewhere(address, addresses);
  const token = await joinToken(context, database, address, flags);
  return { registry: { id, host, port }, ...(token === undefined ? {} : { token }) };
}

function nowhere(): CliError {
  return new CliError(
    "no_address",
    "Cannot make a ticket: this machine has no address that others could use, and no registry",
    { hints: ["find each other by a registry: talos register --server REGISTRY"] },
  );
}

function say({ output, log }: Context, invite: Invite, run: RunFile | undefined, peer: PeerId) {
  const { uses, expires, service, id } = invite;
  const times = uses === 1 ? "once" : `${uses} times`;
  output.say(
    `${id}: whoever has this line may use "${serviceLabel(service)}" of ${peer}; ` +
      `good ${times}, until ${new Date(expires).toISOString()}`,
  );
  if (run === undefined) {
    log.warn(`nothing serves "${serviceLabel(service)}" here now: the ticket works once it runs`);
  }
}

function valueOf(invite: Invite, ticket: Ticket, text: string, run: RunFile | undefined) {
  const { id, service, petname, uses, expires } = invite;
  const { registry, addresses, token } = ticket;
  return {
    ticket: text,
    invite: id,
    service: serviceLabel(service),
    name: petname,
    uses,
    expires: new Date(expires).toISOString(),
    registry: registry === undefined ? null : `${registry.id}@${formatHostPort(registry)}`,
    addresses: addresses.map(formatHostPort),
    has_join_token: token !== undefined,
    is_served: run !== undefined,
  };
}

function steps({ id, service }: Invite, text: string, run: RunFile | undefined): NextStep[] {
  const name = serviceLabel(service);
  const named = name === DEFAULT_SERVER ? "" : ` --service ${name}`;
  return [
    ...(run === undefined
      ? [{ command: `talos mcp-serve${named} --command "COMMAND"`, purpose: "share it" }]
      : []),
    { command: `talos join ${text}`, purpose: "on the agent's machine" },
    { command: `talos access revoke ${id}`, purpose: "to withdraw it" },
  ];
}
