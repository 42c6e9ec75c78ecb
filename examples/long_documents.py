"""Find the passage of a long document that answers a question."""

from crossrank import CrossEncoder

FILLER = "The harbour was busy that morning, and the market opened at seven as usual. " * 40
DOCUMENT = FILLER + "The lighthouse was built in 1874 by Anna Berg. " + FILLER
QUESTION = "Who built the lighthouse?"

model = CrossEncoder()

(cut,) = model.rank(QUESTION, [DOCUMENT], return_truncation=True)
print(f"Truncated: score {cut['score']:.3f}, {cut['truncated_tokens']} tokens were not read.")

(whole,) = model.rank(QUESTION, [DOCUMENT], long_documents="max", window=64, stride=32)
start, end = whole["span"]
print(f"By windows: score {whole['score']:.3f}, best passage:")
print(DOCUMENT[start:end])
