package upstream

// responses answers OpenAI's responses.
func (x *exchange) responses() error {
	x.refuse(notFound(x.place, x.call.Method, x.call.Path))
	return nil
}

// embeddings answers embeddings.
func (x *exchange) embeddings() error {
	x.refuse(notFound(x.place, x.call.Method, x.call.Path))
	return nil
}
