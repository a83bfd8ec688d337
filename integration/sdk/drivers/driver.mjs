// An application made of the official Node SDKs, told over stdin what to do.
//
// Each line in is a task: which SDK, which call, its parameters, the address and
// the key. Each line out is what the application got, or the error that it caught.
// Tasks run side by side, as an application's requests do.

import { createInterface } from 'node:readline';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { AzureOpenAI } from 'openai';
import { VERSION as anthropicVersion } from '@anthropic-ai/sdk/version';
import { VERSION as openaiVersion } from 'openai/version';

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

function client(task) {
  const options = { apiKey: task.key, defaultHeaders: task.headers };
  if (task.sdk === 'anthropic') return new Anthropic({ baseURL: task.url, ...options });
  if (task.azure === 'deployments') return new AzureOpenAI({ endpoint: task.url, apiVersion: '2024-10-21', ...options });
  if (task.azure === 'v1') return new OpenAI({ baseURL: task.url + '/openai/v1', ...options });
  return new OpenAI({ baseURL: task.url + '/v1', ...options });
}

// Got is what came, in the same words for every call.
class Got {
  ok = true;
  text = '';
  thinking = '';
  finish = '';
  usage = null;
  tool_calls = [];
  chunks = 0;
  bare = 0;
  names = [];
  searches = [];

  constructor(task) {
    this.id = task.id;
  }

  // part is one piece of a stream's text; the first is told at once.
  part(text) {
    if (text && !this.text) say({ id: this.id, first: true });
    this.text += text ?? '';
  }

  call(name, args) {
    this.tool_calls.push({ name, arguments: args });
  }
}

async function chat(c, { params, how }, got) {
  if (how === 'stream') return chatChunks(await c.chat.completions.create({ ...params, stream: true }), got);
  let whole;
  if (how === 'helper') {
    const stream = c.chat.completions.stream(params);
    stream.on('chunk', () => got.chunks++);
    stream.on('content', (delta) => got.part(delta));
    whole = await stream.finalChatCompletion();
  } else {
    whole = await c.chat.completions.create(params);
  }
  const choice = whole.choices[0];
  got.text = choice.message.content ?? '';
  got.finish = choice.finish_reason;
  got.usage = whole.usage ?? null;
  for (const call of choice.message.tool_calls ?? []) got.call(call.function.name, JSON.parse(call.function.arguments));
}

async function chatChunks(stream, got) {
  const calls = [];
  for await (const chunk of stream) {
    got.chunks++;
    if (!chunk.choices.length) got.bare++;
    got.usage = chunk.usage ?? got.usage;
    for (const choice of chunk.choices) {
      got.finish = choice.finish_reason ?? got.finish;
      got.part(choice.delta.content);
      for (const piece of choice.delta.tool_calls ?? []) {
        const call = (calls[piece.index] ??= { name: '', arguments: '' });
        call.name += piece.function.name ?? '';
        call.arguments += piece.function.arguments ?? '';
      }
    }
  }
  for (const call of calls) got.call(call.name, JSON.parse(call.arguments));
}

async function responses(c, { params, how }, got) {
  let whole;
  if (how === 'stream') {
    whole = await responseEvents(await c.responses.create({ ...params, stream: true }), got);
  } else if (how === 'helper') {
    const stream = c.responses.stream(params);
    await responseEvents(stream, got);
    whole = await stream.finalResponse();
  } else {
    whole = await c.responses.create(params);
  }
  got.text = whole.output_text ?? whole.output.flatMap((item) => item.content ?? []).map((part) => part.text ?? '').join('');
  got.finish = whole.status;
  got.usage = whole.usage;
  for (const item of whole.output) {
    if (item.type === 'function_call') got.call(item.name, JSON.parse(item.arguments));
    if (item.type === 'web_search_call') got.searches.push(item.action.queries.join(' '));
  }
}

async function responseEvents(stream, got) {
  let whole;
  for await (const event of stream) {
    got.chunks++;
    if (event.type === 'response.output_text.delta') got.part(event.delta);
    if (event.type === 'response.completed' || event.type === 'response.incomplete') whole = event.response;
  }
  return whole;
}

async function embeddings(c, { params }, got) {
  const made = await c.embeddings.create(params);
  got.text = made.data.map((d) => d.embedding.length).join(' ');
  got.usage = made.usage;
}

async function messages(c, { params, how }, got) {
  if (how === 'stream') return messageEvents(await c.messages.create({ ...params, stream: true }), got);
  let whole;
  if (how === 'helper') {
    const stream = c.messages.stream(params);
    stream.on('streamEvent', () => got.chunks++);
    stream.on('text', (delta) => got.part(delta));
    whole = await stream.finalMessage();
  } else {
    whole = await c.messages.create(params);
  }
  got.text = '';
  got.finish = whole.stop_reason;
  got.usage = whole.usage;
  for (const block of whole.content) {
    if (block.type === 'text') got.text += block.text;
    if (block.type === 'thinking') got.thinking += block.thinking;
    if (block.type === 'tool_use') got.call(block.name, block.input);
    if (block.type === 'server_tool_use') got.searches.push(block.input.query);
  }
}

async function messageEvents(stream, got) {
  const blocks = [];
  for await (const event of stream) {
    got.chunks++;
    if (event.type === 'message_start') got.usage = { ...event.message.usage };
    if (event.type === 'content_block_start') blocks[event.index] = { ...event.content_block, json: '' };
    if (event.type === 'content_block_delta') {
      if (event.delta.type === 'text_delta') got.part(event.delta.text);
      if (event.delta.type === 'thinking_delta') got.thinking += event.delta.thinking;
      if (event.delta.type === 'input_json_delta') blocks[event.index].json += event.delta.partial_json;
    }
    if (event.type === 'message_delta') {
      got.finish = event.delta.stop_reason;
      for (const [name, value] of Object.entries(event.usage)) if (value !== null) got.usage[name] = value;
    }
  }
  for (const block of blocks) {
    if (block.type === 'tool_use') got.call(block.name, JSON.parse(block.json || '{}'));
    if (block.type === 'server_tool_use') got.searches.push(JSON.parse(block.json).query);
  }
}

async function count_tokens(c, { params }, got) {
  got.text = String((await c.messages.countTokens(params)).input_tokens);
}

async function models(c, task, got) {
  for await (const model of c.models.list()) got.names.push(model.id);
}

// elsewhere is a call that Signalbox does not judge.
async function elsewhere(c, { sdk }) {
  await (sdk === 'anthropic' ? c.messages.batches.list() : c.batches.list());
}

const operations = { chat, responses, embeddings, messages, count_tokens, models, elsewhere };

// caught is what an application can read of an error.
function caught(e) {
  const bases = [];
  for (let p = Object.getPrototypeOf(e); p; p = Object.getPrototypeOf(p)) bases.push(p.constructor.name);
  return {
    class: e.constructor.name, bases, status: e.status ?? 0, code: e.errorCode ?? e.code ?? '', type: e.type ?? '',
    message: e.message, request_id: e.requestID ?? '', body: e.error ?? null,
  };
}

async function run(task) {
  const got = new Got(task);
  try {
    await operations[task.op](client(task), task, got);
    say(got);
  } catch (e) {
    say({ ...got, ok: false, error: caught(e) });
  }
}

say({ versions: { openai: openaiVersion, anthropic: anthropicVersion } });
for await (const line of createInterface({ input: process.stdin })) run(JSON.parse(line));
