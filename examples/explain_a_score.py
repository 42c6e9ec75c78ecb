"""Say which sentence, and which words, make the score of a document."""

from crossrank import CrossEncoder

QUESTION = "How many people live in Paris?"
DOCUMENT = (
    "Paris lies on the Seine and is the capital of France. "
    "About two million people live in the city. "
    "The Louvre opened in 1793 and shows the Mona Lisa."
)

model = CrossEncoder()

explanation = model.explain(QUESTION, DOCUMENT, faithfulness=True)
for piece in explanation.pieces:
    print(f"{piece.attribution:+.2f}  {piece.text}")
if explanation.faithfulness is not None:
    print(f"Better than random orders by {explanation.faithfulness.gain:.2f}.")

words = model.explain(QUESTION, DOCUMENT, method="tokens")
for span in words.relevant_spans(top=4):
    print(f"{span.attribution:+.2f}  {span.start}-{span.end}: {span.text}")
# On a terminal: rich.print(words). In a notebook: words. For a web page: words.to_html().
