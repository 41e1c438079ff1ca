"""A recurrent network learns to spell: it reads text letter by letter and then writes its own.

    python examples/char_rnn.py [--steps 150] [--file TEXT]

Without a file it learns the rhyme below.
"""

import argparse
import math

import flambeau as fb
import flambeau.nn as nn
import flambeau.nn.functional as F

RHYME = """
One small torch in a night of rain,
two small torches down the lane,
three small torches by the mill,
four small torches up the hill.
Five small torches cross the stream,
six small torches share a gleam,
seven, eight, and nine, and ten:
ten small torches home again.
"""


class Speller(nn.Module):
    """Letters -> embedding -> GRU -> scores of the next letter."""

    def __init__(self, letters, hidden=96):
        super().__init__()
        self.embed = nn.Embedding(letters, 32)
        self.rnn = nn.GRU(32, hidden, batch_first=True)
        self.head = nn.Linear(hidden, letters)

    def forward(self, x, state=None):
        output, state = self.rnn(self.embed(x), state)
        return self.head(output), state


def write(net, start, length, letters, number, warmth=0.5):
    """Return `length` letters that the network adds to `start`, one at a time."""
    net.eval()
    text, state = start, None
    x = fb.tensor([[number[c] for c in start]])
    with fb.no_grad():
        for _ in range(length):
            scores, state = net(x, state)
            chance = F.softmax(scores[0, -1] / warmth, dim=0)
            x = fb.multinomial(chance, 1).view(1, 1)
            text += letters[x.item()]
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--file")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    fb.manual_seed(args.seed)
    text = open(args.file, encoding="utf-8").read() if args.file else RHYME.strip() * 4
    letters = sorted(set(text))
    number = {c: i for i, c in enumerate(letters)}
    data = fb.tensor([number[c] for c in text])
    print(f"{len(text):,} letters, {len(letters)} different ones")

    net, window, batch = Speller(len(letters)), 48, 16
    optimizer = fb.optim.Adam(net.parameters(), lr=5e-3)
    for step in range(args.steps):
        starts = fb.randint(0, len(data) - window - 1, (batch,)).tolist()
        x = fb.stack([data[s : s + window] for s in starts])
        y = fb.stack([data[s + 1 : s + window + 1] for s in starts])
        optimizer.zero_grad()
        scores, _ = net(x)
        loss = F.cross_entropy(scores.reshape(-1, len(letters)), y.reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        if step % 25 == 0 or step == args.steps - 1:
            bits = loss.item() / math.log(2)
            print(f"step {step:4d}  loss {loss.item():.3f}  ({bits:.2f} bits a letter)")
    print("\n" + write(net, text[:4], 200, letters, number))


if __name__ == "__main__":
    main()
