import { signal, type Signal } from '@preact/signals'
import { emptyNote, gone, isEmptyNote, readNote, returned, type Note } from '../model/note'
import { isOpen, type Command, type Incident } from '../model/protocol'
import type { NoteShelf } from './shelf'

// Notes keeps each letter of a card's notes on this computer until they are sent:
// from then on the outbox has them, and gives them back if the server refuses.
export class Notes {
  private readonly notes = new Map<string, Signal<Note>>()

  constructor(private readonly shelf: NoteShelf) {}

  of(incident: string): Signal<Note> {
    let s = this.notes.get(incident)
    if (s === undefined) {
      s = signal(readNote(this.shelf.load(incident)))
      this.notes.set(incident, s)
    }
    return s
  }

  change(incident: string, part: Partial<Note>): void {
    this.set(incident, { ...this.of(incident).peek(), ...part })
  }

  sent(c: Command): void {
    this.set(c.incident, gone(this.of(c.incident).peek(), c))
  }

  settled(c: Command, ok: boolean): void {
    if (!ok) this.set(c.incident, returned(this.of(c.incident).peek(), c))
  }

  rowChanged(i: Incident): void {
    if (!isOpen(i.state)) this.set(i.id, emptyNote)
  }

  private set(incident: string, note: Note): void {
    const s = this.of(incident)
    if (isEmptyNote(note) && isEmptyNote(s.peek())) return
    s.value = note
    if (isEmptyNote(note)) this.shelf.drop(incident)
    else this.shelf.put(incident, note)
  }
}
