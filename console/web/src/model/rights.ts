import { isFinal, isOpen, isUndecided, type AssignmentState, type Incident, type Me } from './protocol'
import { liveCall, ownAssignment } from './order'

// What the screen offers. The server decides; this only spares people buttons
// that would be refused.

const takesCalls = (me: Me): boolean => me.role === 'operator' || me.role === 'supervisor'

export const mayEdit = (i: Incident, me: Me): boolean =>
  takesCalls(me) && isOpen(i.state) && i.state !== 'worked'

export const mayCloseWithoutResponse = (i: Incident, me: Me): boolean =>
  takesCalls(me) && isOpen(i.state) && i.assignments.length === 0

export const mayHangUp = (i: Incident, me: Me): boolean => takesCalls(me) && liveCall(i) !== undefined

export const mayClose = (i: Incident, me: Me): boolean =>
  me.role === 'supervisor' && isOpen(i.state) && i.assignments.every((a) => isFinal(a.state))

export const mayCancel = (i: Incident, me: Me): boolean =>
  me.role === 'supervisor' && isOpen(i.state) && i.state !== 'worked'

// The steps a duty officer may take next, in the order of the work.
export function nextSteps(i: Incident, me: Me): readonly AssignmentState[] {
  const own = ownAssignment(i, me)
  if (own === undefined || !isOpen(i.state)) return []
  if (isUndecided(own.state)) return ['accepted', 'refused']
  const work: readonly AssignmentState[] = ['en_route', 'arrived', 'working', 'completed', 'work_refused']
  switch (own.state) {
    case 'refused':
      return ['accepted']
    case 'accepted':
      return work
    case 'en_route':
      return work.slice(1)
    case 'arrived':
      return work.slice(2)
    case 'working':
      return work.slice(3)
    default:
      return []
  }
}
