import { formFields, type Command, type CommandKind } from '../model/protocol'
import { emptyDraft, type Draft } from '../model/draft'
import type { Note } from '../model/note'
import type { Shelf } from '../model/outbox'

// The local copy of what the server has not confirmed yet. localStorage, because
// it is written before the call returns: a killed tab loses no letter. Entries
// are removed as soon as the server has the text.

const kinds: readonly CommandKind[] = ['save', 'send', 'closeWithoutResponse', 'close', 'cancel', 'reply', 'hangUp']

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null

function parse(text: string | null): unknown {
  if (text === null) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

// A full or forbidden store must not stop the work: the server's copy remains.
function write(store: Storage, key: string, value: unknown): boolean {
  try {
    store.setItem(key, JSON.stringify(value))
    return true
  } catch {
    return false
  }
}

const keysOf = (store: Storage, prefix: string): string[] =>
  Array.from({ length: store.length }, (_, i) => store.key(i) ?? '').filter((k) => k.startsWith(prefix))

// No login has a slash, so that «a» never finds what «a.b» left.
const prefixOf = (what: 'command' | 'draft' | 'note', login: string): string => `nabat.${what}.${login}/`

export class CommandShelf implements Shelf {
  private readonly prefix: string
  private last = 0
  constructor(
    private readonly store: Storage,
    login: string,
  ) {
    this.prefix = prefixOf('command', login)
  }

  load(): Command[] {
    const found = keysOf(this.store, this.prefix).map((k) => parse(this.store.getItem(k)))
    return found
      .filter(isObject)
      .filter((v) => typeof v.at === 'number' && isObject(v.command))
      .sort((a, b) => Number(a.at) - Number(b.at))
      .map((v) => v.command as unknown as Command)
      .filter((c) => typeof c.id === 'string' && typeof c.incident === 'string' && kinds.includes(c.kind))
  }

  // The order of the commands is their order in time, and two in one millisecond
  // have one too; a command that is put again keeps its place.
  put(command: Command): void {
    const key = this.prefix + command.id
    const old = parse(this.store.getItem(key))
    const at = isObject(old) && typeof old.at === 'number' ? old.at : Math.max(Date.now(), this.last + 0.001)
    this.last = Math.max(this.last, at)
    write(this.store, key, { at, command })
  }

  drop(id: string): void {
    this.store.removeItem(this.prefix + id)
  }
}

export class DraftShelf {
  private readonly prefix: string
  constructor(
    private readonly store: Storage,
    login: string,
  ) {
    this.prefix = prefixOf('draft', login)
  }

  load(): Map<string, Draft> {
    const out = new Map<string, Draft>()
    for (const key of keysOf(this.store, this.prefix)) {
      const v = parse(this.store.getItem(key))
      if (!isObject(v) || !isObject(v.fields)) continue
      let draft: Draft = emptyDraft
      for (const f of formFields) {
        const field = v.fields[f]
        if (!isObject(field) || typeof field.mine !== 'string' || typeof field.base !== 'string') continue
        draft = { ...draft, fields: { ...draft.fields, [f]: { mine: field.mine, base: field.base, theirs: null } } }
      }
      if (Object.keys(draft.fields).length > 0) out.set(key.slice(this.prefix.length), draft)
    }
    return out
  }

  put(incident: string, draft: Draft): boolean {
    return write(this.store, this.prefix + incident, { fields: draft.fields })
  }

  drop(incident: string): void {
    this.store.removeItem(this.prefix + incident)
  }
}

const noteLifeMs = 7 * 24 * 3_600_000

export class NoteShelf {
  private readonly prefix: string
  constructor(
    private readonly store: Storage,
    login: string,
  ) {
    this.prefix = prefixOf('note', login)
    // A card that ended while nobody looked leaves its note behind.
    for (const key of keysOf(store, this.prefix)) {
      const v = parse(store.getItem(key))
      if (!isObject(v) || typeof v.at !== 'number' || Date.now() - v.at > noteLifeMs) store.removeItem(key)
    }
  }

  load(incident: string): Partial<Record<keyof Note, unknown>> {
    const v = parse(this.store.getItem(this.prefix + incident))
    return isObject(v) && isObject(v.note) ? v.note : {}
  }

  put(incident: string, note: Note): void {
    write(this.store, this.prefix + incident, { at: Date.now(), note })
  }

  drop(incident: string): void {
    this.store.removeItem(this.prefix + incident)
  }
}
