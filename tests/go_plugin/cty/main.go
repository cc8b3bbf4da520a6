// Command cty answers questions about go-cty: one in JSON a line, and one answer in JSON a line. Values are in msgpack,
// in hexadecimal. An answer has "error" where go-cty refuses or panics.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/ctystrings"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"github.com/zclconf/go-cty/cty/msgpack"
)

type question struct {
	Op          string
	Type        string
	Target      string
	Types       []string
	Data        string
	Other       string
	Text        string
	Safe        bool
	Repetitions int
}

type answer map[string]any

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func typeOf(notation string) cty.Type {
	var of cty.Type
	if err := json.Unmarshal([]byte(notation), &of); err != nil {
		panic(err)
	}
	return of
}

func notationOf(of cty.Type) any {
	if of == cty.NilType {
		return nil
	}
	return string(must(of.MarshalJSON()))
}

func decoded(data string, of cty.Type) cty.Value {
	return must(msgpack.Unmarshal(must(hex.DecodeString(data)), of))
}

// written is the value in both forms; JSON is missing where a value has none.
func written(value cty.Value, of cty.Type) answer {
	found := answer{"data": hex.EncodeToString(must(msgpack.Marshal(value, of)))}
	if text, err := ctyjson.Marshal(value, of); err == nil {
		found["json"] = string(text)
	}
	return found
}

var operations = map[string]func(question) answer{
	"decode": func(q question) answer {
		of := typeOf(q.Type)
		return written(decoded(q.Data, of), of)
	},
	"decode_json": func(q question) answer {
		of := typeOf(q.Type)
		return written(must(ctyjson.Unmarshal([]byte(q.Text), of)), of)
	},
	"convert": func(q question) answer {
		target := typeOf(q.Target)
		found := written(must(convert.Convert(decoded(q.Data, typeOf(q.Type)), target)), target)
		// Some results of conversions are such that go-cty itself cannot read them.
		decoded(found["data"].(string), target)
		return found
	},
	"equal": func(q question) answer {
		of := typeOf(q.Type)
		a, b := decoded(q.Data, of), decoded(q.Other, of)
		equal := a.Equals(b)
		if !equal.IsKnown() {
			return answer{"equal": nil, "identical": a.RawEquals(b)}
		}
		return answer{"equal": equal.True(), "identical": a.RawEquals(b)}
	},
	"unify": func(q question) answer {
		var types []cty.Type
		for _, notation := range q.Types {
			types = append(types, typeOf(notation))
		}
		unify := convert.UnifyUnsafe
		if q.Safe {
			unify = convert.Unify
		}
		of, _ := unify(types)
		return answer{"type": notationOf(of)}
	},
	"number": func(q question) answer {
		value := must(cty.ParseNumberVal(q.Text))
		found := written(value, cty.Number)
		found["text"] = value.AsBigFloat().Text('f', -1)
		return found
	},
	"prefix":  func(q question) answer { return answer{"text": ctystrings.SafeKnownPrefix(q.Text)} },
	"measure": measure,
}

func answered(q question) (found answer) {
	defer func() {
		if problem := recover(); problem != nil {
			_, refused := problem.(error)
			found = answer{"error": fmt.Sprint(problem), "panic": !refused}
		}
	}()
	return operations[q.Op](q)
}

func main() {
	questions := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	answers := json.NewEncoder(os.Stdout)
	for questions.More() {
		var q question
		if err := questions.Decode(&q); err != nil {
			panic(err)
		}
		if err := answers.Encode(answered(q)); err != nil {
			panic(err)
		}
	}
}
