import { signal, type Signal } from '@preact/signals'
import {
  formFields, type Command, type CommandError, type CommandKind, type FormChange, type FormField, type Incident,
} from '../model/protocol'
import {
  answered, anyDirty, conflicts, edit, emptyDraft, formOf, isEmpty, left, resolve, sending, serverChanged, toSave,
  type Draft,
} from '../model/draft'
import type { DraftShelf } from './shelf'

// Drafts carries typed text to the server: a draft card is saved within a second
// of the last key, one save at a time a card; a registered card's changes stay
// here until the person sends them.

export const saveAfterMs = 600

export interface DraftPorts {
  incident(id: string): Incident | undefined
  newId(): string
  command(incident: string, kind: CommandKind, rest: Partial<Command>): void
}

export class Drafts {
  // keptLocally turns false when the browser refused to keep a copy.
  readonly keptLocally = signal(true)
  private focused: { incident: string; field: FormField } | null = null
  private readonly drafts = new Map<string, Signal<Draft>>()
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>()
  // The version of the card that the last form was made from, and the cards whose
  // form somebody else's change refused before we saw it.
  private readonly madeFrom = new Map<string, number>()
  private readonly outrun = new Set<string>()

  constructor(
    private readonly shelf: DraftShelf,
    private readonly ports: DraftPorts,
  ) {
    for (const [id, d] of shelf.load()) this.drafts.set(id, signal(d))
  }

  of(incident: string): Signal<Draft> {
    let s = this.drafts.get(incident)
    if (s === undefined) {
      s = signal(emptyDraft)
      this.drafts.set(incident, s)
    }
    return s
  }

  unsent(): string[] {
    return [...this.drafts].filter(([, d]) => anyDirty(d.peek())).map(([id]) => id)
  }

  type(i: Incident, f: FormField, value: string): void {
    this.set(i.id, edit(this.of(i.id).peek(), f, value, formOf(i)))
    this.schedule(i.id)
  }

  resolve(i: Incident, f: FormField, keep: 'mine' | 'theirs'): void {
    this.set(i.id, resolve(this.of(i.id).peek(), f, keep))
    this.schedule(i.id)
  }

  enter(i: Incident, f: FormField): void {
    this.focused = { incident: i.id, field: f }
  }

  leave(i: Incident): void {
    this.focused = null
    this.set(i.id, this.of(i.id).peek())
  }

  discard(incident: string): void {
    this.set(incident, { ...emptyDraft, sent: this.of(incident).peek().sent })
  }

  rowChanged(i: Incident): void {
    const s = this.drafts.get(i.id)
    if (s === undefined) return
    this.set(i.id, serverChanged(s.peek(), formOf(i)))
    if (this.outrun.has(i.id)) this.goOn(i)
  }

  // afterSnapshot takes up what a closed tab or a lost line left behind.
  afterSnapshot(): void {
    for (const id of this.drafts.keys()) {
      const i = this.ports.incident(id)
      if (i === undefined) continue
      this.rowChanged(i)
      this.schedule(id)
    }
  }

  // send gives the form to be sent now, or the fields that a person must decide first.
  send(i: Incident): readonly FormField[] {
    const d = this.of(i.id).peek()
    const open = conflicts(d)
    if (open.length > 0) return open
    this.stop(i.id)
    this.go(i, 'send', toSave(d))
    return []
  }

  settled(c: Command, ok: boolean, error?: CommandError): void {
    if (c.form === undefined || (c.kind !== 'save' && c.kind !== 'send')) return
    this.set(c.incident, answered(this.of(c.incident).peek(), c.id, ok))
    // What was typed while the save was on its way goes next; what the server
    // refused waits for the person. Where somebody else was faster at one field,
    // the others go on without it, as soon as we see what is there now.
    if (ok) this.schedule(c.incident)
    else if (error?.code === 'conflict' && error.field !== '') {
      this.outrun.add(c.incident)
      const i = this.ports.incident(c.incident)
      if (i !== undefined) this.goOn(i)
    }
  }

  private goOn(i: Incident): void {
    if (i.version <= (this.madeFrom.get(i.id) ?? -1)) return
    this.outrun.delete(i.id)
    this.schedule(i.id)
  }

  // known tells of a command that a former life of this tab sent.
  known(c: Command): void {
    if (c.form === undefined) return
    this.set(c.incident, sending(this.of(c.incident).peek(), c.id, c.form))
  }

  private schedule(id: string): void {
    this.stop(id)
    if (!anyDirty(this.of(id).peek())) return
    this.timers.set(id, setTimeout(() => this.save(id), saveAfterMs))
  }

  private stop(id: string): void {
    clearTimeout(this.timers.get(id))
    this.timers.delete(id)
  }

  private save(id: string): void {
    this.timers.delete(id)
    const d = this.of(id).peek()
    const i = this.ports.incident(id)
    if (i === undefined || i.state !== 'draft' || d.sent.length > 0 || !anyDirty(d)) return
    const form = toSave(d)
    if (!isEmpty(form)) this.go(i, 'save', form)
  }

  private go(i: Incident, kind: 'save' | 'send', form: FormChange): void {
    const id = this.ports.newId()
    this.madeFrom.set(i.id, i.version)
    this.set(i.id, sending(this.of(i.id).peek(), id, form))
    this.ports.command(i.id, kind, { id, form })
  }

  private set(id: string, changed: Draft): void {
    const s = this.of(id)
    let d = changed
    for (const f of formFields) {
      if (this.focused?.incident !== id || this.focused.field !== f) d = left(d, f)
    }
    if (s.peek() === d) return
    s.value = d
    if (anyDirty(d)) this.keptLocally.value = this.shelf.put(id, d)
    else this.shelf.drop(id)
  }
}
