// Leaving finishes a logout that found no server. The session's cookie cannot be
// seen from here, let alone removed, so without the server's word the next page of
// this computer would be let in again as the person who left. A mark on the disk
// outlives the tab; nothing else is done before the server has ended the session.

const key = 'nabat.leaving'

export interface LeavingPorts {
  storage(): Storage
  logout(): Promise<boolean> // the session is known to be over
}

export const isLeavingMark = (e: { key: string | null; newValue: string | null }): boolean =>
  e.key === key && e.newValue !== null

export class Leaving {
  private marked = false // where the disk is forbidden, the mark lives with the tab
  private going: Promise<boolean> | null = null

  constructor(private readonly ports: LeavingPorts) {}

  due(): boolean {
    try {
      return this.marked || this.ports.storage().getItem(key) !== null
    } catch {
      return this.marked
    }
  }

  begin(): void {
    this.marked = true
    try {
      this.ports.storage().setItem(key, '1')
    } catch {
      // This tab remembers.
    }
  }

  // finish is true when no logout is owed any more.
  finish(): Promise<boolean> {
    if (!this.due()) return Promise.resolve(true)
    this.going ??= this.go().finally(() => (this.going = null))
    return this.going
  }

  private async go(): Promise<boolean> {
    if (!(await this.ports.logout())) return false
    this.marked = false
    try {
      this.ports.storage().removeItem(key)
    } catch {
      // It was not kept there.
    }
    return true
  }
}
