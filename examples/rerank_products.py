"""Rerank shop products: one text from several fields, and a business rule on top of the score."""

from crossrank import CrossEncoder

QUERY = "waterproof jacket for hiking in the rain"

PRODUCTS = [
    {"name": "Trail rain jacket", "about": "Waterproof and breathable shell.", "stock": 12},
    {"name": "Leather office shoes", "about": "Black, with a leather sole.", "stock": 3},
    {"name": "Alpine hardshell", "about": "Waterproof mountain jacket for hikers.", "stock": 0},
    {"name": "Camping stove", "about": "Boils a litre of water in four minutes.", "stock": 7},
    {"name": "Cotton summer jacket", "about": "Light jacket for warm, dry days.", "stock": 5},
]

model = CrossEncoder()
texts = [f"{product['name']}: {product['about']}" for product in PRODUCTS]
ranking = model.rank(QUERY, texts)

# What cannot be sold today goes to the end; the order is otherwise the model's.
ranking.sort(key=lambda entry: PRODUCTS[entry["corpus_id"]]["stock"] == 0)

for entry in ranking:
    product = PRODUCTS[entry["corpus_id"]]
    note = "" if product["stock"] else "  (out of stock)"
    print(f"{entry['score']:.3f}  {product['name']}{note}")
