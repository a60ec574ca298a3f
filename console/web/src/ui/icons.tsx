import type { AssignmentState } from '../model/protocol'

// Shapes, so that nothing is told by colour alone. All are drawn in a 24 by 24
// field with the colour of the text.

const types: Record<string, string> = {
  fire: 'M12 2c1 4 6 6 6 12a6 6 0 0 1-12 0c0-3 2-4 2-7 2 1 3 2 3 4 1-2 2-5 1-9z',
  gas: 'M7 18a4 4 0 0 1 0-8 5 5 0 0 1 9.500-1.500A4.500 4.500 0 0 1 17 18zM6 21h12',
  explosion: 'M12 2l2 6 6-3-3 6 5 3-6 1 1 6-5-4-5 4 1-6-6-1 5-3-3-6 6 3z',
  road_accident: 'M3 16v-4l2-5h10l4 5h2v4h-2M9 16h6M5 16H3M7 18a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM17 18a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM5 12h14',
  medical: 'M9 3h6v6h6v6h-6v6H9v-6H3V9h6z',
  crime: 'M12 2l8 3v6c0 5-3.500 9-8 11-4.500-2-8-6-8-11V5zM12 7v6M12 16v1',
  panic: 'M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zM12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8z',
  intrusion: 'M5 21V3h10v18M5 21h14M19 8l-4 4 4 4M12 12v1',
  person_in_danger: 'M12 2a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM4 11l8-1 8 1M12 10v6M12 16l-4 6M12 16l4 6',
  utility: 'M14 4a5 5 0 0 0-5 7l-6 6 3 3 6-6a5 5 0 0 0 7-5l-3 3-3-1-1-3 3-3z',
  public_order: 'M8 4a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM16 4a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM2 21c0-5 2-8 6-8s6 3 6 8M14 14c5-2 8 1 8 7',
  other: 'M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zM9 10a3 3 0 1 1 4 3c-1 .500-1 1-1 2M12 17.500v.500',
  unknown: 'M4 4h16v16H4zM9 10a3 3 0 1 1 4 3c-1 .500-1 1-1 2M12 17.500v.500',
}

const states: Record<AssignmentState, string> = {
  added: 'M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16z',
  published: 'M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM8 12h8M13 9l3 3-3 3',
  received: 'M3 6h18v12H3zM3 7l9 6 9-6',
  accepted: 'M4 12l6 6L20 6',
  refused: 'M5 5l14 14M19 5L5 19',
  en_route: 'M3 12h17M13 5l7 7-7 7',
  arrived: 'M12 22s7-7.500 7-13a7 7 0 0 0-14 0c0 5.500 7 13 7 13zM12 11.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z',
  working: 'M14 4a5 5 0 0 0-5 7l-6 6 3 3 6-6a5 5 0 0 0 7-5l-3 3-3-1-1-3 3-3z',
  completed: 'M1 13l5 5L16 7M11 16l2 2L23 7',
  work_refused: 'M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zM6 6l12 12',
  cancelled: 'M4 12h16',
}

const signs = {
  phone: 'M6 3l3 5-2 2c1 3 3 5 6 6l2-2 5 3c0 3-2 4-4 4C9 20 3 13 3 7c0-2 1-4 3-4z',
  message: 'M3 4h18v13H10l-5 4v-4H3zM7 9h10M7 12.500h6',
  callback: 'M20 6H10a5 5 0 0 0 0 10h4M16 2l4 4-4 4M14 20v-4',
  question: types.unknown ?? '',
  warning: 'M12 3l10 18H2zM12 10v5M12 17.500v.500',
  sound: 'M4 9h4l5-4v14l-5-4H4zM16 9c2 2 2 4 0 6M18.500 6c4 4 4 8 0 12',
  mute: 'M4 9h4l5-4v14l-5-4H4zM16 9l6 6M22 9l-6 6',
  plug: 'M8 3v5M16 3v5M5 8h14v3a7 7 0 0 1-14 0zM12 18v4',
  unplugged: 'M8 3v5M16 3v5M5 8h14v3a7 7 0 0 1-14 0zM12 18v4M3 3l18 18',
  close: 'M5 5l14 14M19 5L5 19',
} as const

export type Sign = keyof typeof signs

const Icon = ({ path, kind }: { path: string; kind: string }) => (
  <svg class={`icon ${kind}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d={path} />
  </svg>
)

export const TypeIcon = ({ type, cls }: { type: string; cls: string }) => {
  const name = type in types ? type : cls in types ? cls : 'unknown'
  return <Icon path={types[name] ?? ''} kind={`type type-${name}`} />
}
export const StateIcon = ({ state }: { state: AssignmentState }) => <Icon path={states[state] ?? states.added} kind="step" />
export const SignIcon = ({ sign }: { sign: Sign }) => <Icon path={signs[sign]} kind={`sign sign-${sign}`} />
