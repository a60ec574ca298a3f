// The server's time on this screen. Everything that ticks is «server now minus a
// time stamp», so a sleeping tab or a wrong PC clock never shows a wrong age.

const windowMs = 60_000
const jumpMs = 2_000

export class ServerClock {
  private samples: { mono: number; offset: number }[] = []
  private offset: number | undefined

  // mono is a monotonic local clock (performance.now). A frame always arrives
  // later than it was stamped, so of the last minute's samples the one with the
  // least delay is the truest.
  sample(serverMs: number, mono: number): void {
    const offset = serverMs - mono
    if (this.offset !== undefined && Math.abs(offset - this.offset) > jumpMs) this.samples = []
    this.samples = this.samples.filter((s) => mono - s.mono < windowMs)
    this.samples.push({ mono, offset })
    this.offset = Math.max(...this.samples.map((s) => s.offset))
  }

  get known(): boolean {
    return this.offset !== undefined
  }

  now(mono: number, wall: number): number {
    return this.offset === undefined ? wall : mono + this.offset
  }
}
