package routing

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"nabat/dispatch"
)

// Each vocabulary is a CEL type of its own, so that comparing a class with a
// type, or with a string that nobody checked, is refused when a rule is saved.
var (
	originType   = cel.OpaqueType("origin")
	incidentType = cel.OpaqueType("type")
	classType    = cel.OpaqueType("class")
	categoryType = cel.OpaqueType("category")
)

type (
	originWord   struct{}
	typeWord     struct{}
	classWord    struct{}
	categoryWord struct{}
)

func (originWord) celType() *types.Type   { return originType }
func (typeWord) celType() *types.Type     { return incidentType }
func (classWord) celType() *types.Type    { return classType }
func (categoryWord) celType() *types.Type { return categoryType }

// word is one word of vocabulary V as a CEL value. It can be compared and
// nothing else.
type word[V interface{ celType() *types.Type }] struct {
	text string
}

func (w word[V]) Type() ref.Type { var v V; return v.celType() }
func (w word[V]) Value() any     { return w.text }

func (w word[V]) Equal(other ref.Val) ref.Val {
	o, ok := other.(word[V])
	return types.Bool(ok && o == w)
}

func (w word[V]) ConvertToNative(to reflect.Type) (any, error) {
	return nil, fmt.Errorf("a word has no form as %v", to)
}

func (w word[V]) ConvertToType(to ref.Type) ref.Val {
	return types.NewErr("a word cannot become %s", to.TypeName())
}

// facts are what a condition sees as «incident».
type facts struct {
	Origin        word[originWord]   `cel:"origin"`
	Type          word[typeWord]     `cel:"type"`
	Class         word[classWord]    `cel:"class"`
	Category      word[categoryWord] `cel:"category"`
	District      string             `cel:"district"`
	KnownFacility bool               `cel:"known_facility"`
}

// factNames lists the fields of facts, for messages.
var factNames = []string{"origin", "type", "class", "category", "district", "known_facility"}

// situation is an evaluation's input: the facts that are known, and marks on
// those that are not.
type situation struct {
	facts    facts
	missing  []string
	patterns []*cel.AttributePatternType
}

func situationOf(f dispatch.Facts) *situation {
	s := &situation{facts: facts{
		Origin:        word[originWord]{string(f.Origin)},
		Type:          word[typeWord]{string(f.Type)},
		Class:         word[classWord]{f.Class},
		Category:      word[categoryWord]{f.Category},
		District:      f.District,
		KnownFacility: f.KnownFacility,
	}}
	for _, v := range []struct {
		name, text string
		pattern    *cel.AttributePatternType
	}{
		{"origin", string(f.Origin), originMissing},
		{"type", string(f.Type), typeMissing},
		{"class", f.Class, classMissing},
		{"category", f.Category, categoryMissing},
		{"district", f.District, districtMissing},
	} {
		if v.text == "" {
			s.missing = append(s.missing, v.name)
			s.patterns = append(s.patterns, v.pattern)
		}
	}
	return s
}

// Patterns are only read by evaluations, so all may share them.
var (
	originMissing   = cel.AttributePattern("incident").QualString("origin")
	typeMissing     = cel.AttributePattern("incident").QualString("type")
	classMissing    = cel.AttributePattern("incident").QualString("class")
	categoryMissing = cel.AttributePattern("incident").QualString("category")
	districtMissing = cel.AttributePattern("incident").QualString("district")
)

// ResolveName, Parent, UnknownAttributePatterns and AsPartialActivation make a
// situation a cel.PartialActivation.
func (s *situation) ResolveName(name string) (any, bool) {
	if name == "incident" {
		return &s.facts, true
	}
	return nil, false
}

// Parent is nil: there is nothing behind the facts.
func (s *situation) Parent() cel.Activation { return nil }

// UnknownAttributePatterns marks the facts that are not known.
func (s *situation) UnknownAttributePatterns() []*cel.AttributePatternType { return s.patterns }

// AsPartialActivation tells CEL to look at the marks.
func (s *situation) AsPartialActivation() (cel.PartialActivation, bool) { return s, true }

// environment declares what conditions may say.
func environment(v Vocabulary) (*cel.Env, error) {
	opts := []cel.EnvOption{
		cel.ClearMacros(), // no loops over anything: a condition's cost is its length
		ext.NativeTypes(ext.ParseStructTags(true), reflect.TypeFor[facts]()),
		cel.Variable("incident", cel.ObjectType("routing.facts")),
	}
	for _, o := range origins {
		opts = append(opts, cel.Constant("origin."+string(o), originType, word[originWord]{string(o)}))
	}
	for _, t := range dispatch.Types() {
		opts = append(opts, cel.Constant("type."+string(t.Type), incidentType, word[typeWord]{string(t.Type)}))
	}
	for _, c := range v.Classes {
		opts = append(opts, cel.Constant("class."+constant(c), classType, word[classWord]{c}))
	}
	for _, c := range categories {
		opts = append(opts, cel.Constant("category."+c, categoryType, word[categoryWord]{c}))
	}
	return cel.NewEnv(opts...)
}

// vocabularies lists the words of each namespace that environment declares.
func vocabularies(v Vocabulary) map[string][]string {
	out := map[string][]string{"category": categories}
	for _, o := range origins {
		out["origin"] = append(out["origin"], string(o))
	}
	for _, t := range dispatch.Types() {
		out["type"] = append(out["type"], string(t.Type))
	}
	for _, c := range v.Classes {
		out["class"] = append(out["class"], constant(c))
	}
	return out
}
