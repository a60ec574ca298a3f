import type {
  Assignment, AssignmentState, Change, Classifier, CommandError, Contact, EventDetails, Incident,
  IncidentState, JournalEvent, Me, Role, ServerFrame, Time, Words,
} from './protocol'

// Reading what came from outside. A missing or strange value becomes «not known»;
// a frame without its essentials is refused as a whole, because half a truth on
// the board is worse than a resync.

type Raw = Readonly<Record<string, unknown>>

const isRaw = (v: unknown): v is Raw => typeof v === 'object' && v !== null && !Array.isArray(v)
const raw = (v: unknown): Raw => (isRaw(v) ? v : {})
const list = (v: unknown): readonly unknown[] => (Array.isArray(v) ? v : [])
const text = (v: unknown): string => (typeof v === 'string' ? v : '')
const flag = (v: unknown): boolean => v === true
const number = (v: unknown): number | undefined =>
  typeof v === 'number' && Number.isFinite(v) ? v : undefined

export function readTime(v: unknown): Time {
  if (typeof v !== 'string' || v === '') return undefined
  const ms = Date.parse(v)
  // Go's zero time is the year 1: not known.
  return Number.isNaN(ms) || ms <= 0 ? undefined : ms
}

// States that a newer engine may invent are kept as they are: the screen shows
// the bare word instead of hiding the row.
const state = (v: unknown): IncidentState => text(v) as IncidentState
const aState = (v: unknown): AssignmentState => text(v) as AssignmentState

function readAssignment(v: unknown): Assignment {
  const r = raw(v)
  return {
    id: text(r.id), service: text(r.service), state: aState(r.state), rule: text(r.rule),
    ruleset: number(r.ruleset) ?? 0, why: text(r.why), whyEn: text(r.whyEn), addedBy: text(r.addedBy),
    orderNumber: text(r.orderNumber), comment: text(r.comment), undeliverable: text(r.undeliverable),
    addedAt: readTime(r.addedAt), publishedAt: readTime(r.publishedAt), receivedAt: readTime(r.receivedAt),
    decidedAt: readTime(r.decidedAt), enRouteAt: readTime(r.enRouteAt), arrivedAt: readTime(r.arrivedAt),
    workingAt: readTime(r.workingAt), finishedAt: readTime(r.finishedAt),
  }
}

function readContact(v: unknown): Contact {
  const r = raw(v)
  return {
    id: text(r.id), kind: text(r.kind), state: text(r.state), caller: text(r.caller),
    receivedAt: readTime(r.receivedAt), answeredAt: readTime(r.answeredAt), endedAt: readTime(r.endedAt),
    endReason: text(r.endReason), callbackDue: flag(r.callbackDue),
  }
}

export function readIncident(v: unknown): Incident | undefined {
  const r = raw(v)
  const id = text(r.id)
  const version = number(r.version)
  if (id === '' || version === undefined || text(r.state) === '') return undefined
  return {
    id, version, number: number(r.number) ?? 0, state: state(r.state), origin: text(r.origin),
    type: text(r.type), class: text(r.class), facilityId: text(r.facilityId),
    facilityName: text(r.facilityName), unknownFacility: flag(r.unknownFacility), place: text(r.place),
    district: text(r.district), lat: number(r.lat), lon: number(r.lon), description: text(r.description),
    caller: text(r.caller), openedAt: readTime(r.openedAt), registeredAt: readTime(r.registeredAt),
    closedAt: readTime(r.closedAt), closeReason: text(r.closeReason), lastSignalAt: readTime(r.lastSignalAt),
    assignments: list(r.assignments).map(readAssignment), contacts: list(r.contacts).map(readContact),
  }
}

function readIncidents(v: unknown): Incident[] | undefined {
  const out: Incident[] = []
  for (const item of list(v)) {
    const row = readIncident(item)
    if (row === undefined) return undefined
    out.push(row)
  }
  return out
}

function readDetails(v: unknown): EventDetails {
  const r = raw(v)
  return {
    service: text(r.service), from: text(r.from), to: text(r.to), orderNumber: text(r.orderNumber),
    comment: text(r.comment), rule: text(r.rule), ruleset: number(r.ruleset) ?? 0, why: text(r.why), whyEn: text(r.whyEn),
    reason: text(r.reason), contactKind: text(r.contactKind), caller: text(r.caller),
    account: text(r.account), class: text(r.class), condition: text(r.condition), zone: text(r.zone),
    text: text(r.text),
    changes: Object.entries(raw(r.changes)).map(([field, c]): readonly [string, Change] => {
      const change = raw(c)
      return [field, { old: text(change.old), new: text(change.new) }]
    }),
  }
}

export function readEvent(v: unknown): JournalEvent | undefined {
  const r = raw(v)
  const seq = number(r.seq)
  const id = text(r.id)
  if (seq === undefined || id === '') return undefined
  return {
    seq, id, incident: text(r.incident), version: number(r.version) ?? 0, at: readTime(r.at),
    actor: text(r.actor), kind: text(r.kind), hash: text(r.hash), data: readDetails(r.data),
  }
}

const roles: readonly Role[] = ['operator', 'duty', 'supervisor', 'admin', 'auditor']

export function readMe(v: unknown): Me | undefined {
  const r = raw(v)
  // «duty:fire» and «duty» with a service of its own mean the same.
  const [word, ofRole] = text(r.role).split(':')
  const role = roles.find((x) => x === word)
  if (role === undefined || text(r.login) === '') return undefined
  return { login: text(r.login), name: text(r.name), role, service: text(r.service) || (ofRole ?? '') }
}

export function readError(v: unknown): CommandError | undefined {
  if (!isRaw(v)) return undefined
  return { code: text(v.code), field: text(v.field), ru: text(v.ru), en: text(v.en) }
}

export function readClassifier(v: unknown): Classifier | undefined {
  if (!isRaw(v)) return undefined
  const words = (r: Raw): Words => ({ ru: text(r.ru), en: text(r.en) })
  return {
    types: list(v.types).map(raw).map((r) => ({ type: text(r.type), ...words(r) })),
    nonResponses: list(v.nonResponses).map(raw).map((r) => ({ reason: text(r.reason), ...words(r) })),
    services: list(v.services).map(raw).map((r) => ({ service: text(r.service), ...words(r) })),
  }
}

// readFrame gives undefined for what is not a whole frame of ours.
export function readFrame(data: string): ServerFrame | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(data)
  } catch {
    return undefined
  }
  const r = raw(parsed)
  const epoch = text(r.epoch)
  const seq = number(r.seq)
  switch (r.t) {
    case 'hello': {
      const me = readMe(r.me)
      return me && epoch ? { t: 'hello', epoch, server: readTime(r.server), me } : undefined
    }
    case 'snapshot': {
      const incidents = readIncidents(r.incidents)
      return incidents && epoch && seq !== undefined ? { t: 'snapshot', epoch, seq, incidents } : undefined
    }
    case 'delta': {
      const incidents = readIncidents(r.incidents)
      const prev = number(r.prev)
      return incidents && epoch && seq !== undefined && prev !== undefined
        ? { t: 'delta', epoch, prev, seq, incidents }
        : undefined
    }
    case 'beat':
      return epoch && seq !== undefined
        ? { t: 'beat', epoch, seq, at: readTime(r.at), stale: flag(r.stale) }
        : undefined
    case 'events': {
      const events = list(r.events).map(readEvent).filter((e) => e !== undefined)
      return { t: 'events', incident: text(r.incident), events }
    }
    case 'result':
      return {
        t: 'result', id: text(r.id), ok: flag(r.ok),
        incident: isRaw(r.incident) ? readIncident(r.incident) : undefined, error: readError(r.error),
      }
    default:
      return undefined
  }
}
