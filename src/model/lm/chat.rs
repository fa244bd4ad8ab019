//! Chat templates of checkpoints: Jinja, as `transformers` renders it.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, context};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::task::Message;

/// A compiled template.
pub struct ChatTemplate {
    environment: Environment<'static>,
}

const NAME: &str = "chat";

impl ChatTemplate {
    /// Compiles a template.
    pub fn new(source: String) -> Result<Self, String> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|e| e.to_string())?);
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        // There is no `strftime_now`: a prompt with today's date would give other numbers tomorrow. Templates that ask
        // whether it is there take their own date instead.
        environment
            .add_template_owned(NAME, source)
            .map_err(|e| format!("its chat template cannot be read: {e:#}"))?;
        Ok(Self { environment })
    }

    /// The text of a conversation, ready for the answer if `prompt` says so.
    pub fn render(&self, messages: &[Message], bos: &str, eos: &str, prompt: bool) -> Result<String, String> {
        let template = self.environment.get_template(NAME).map_err(|e| e.to_string())?;
        let messages: Vec<_> =
            messages.iter().map(|m| context! { role => m.role.name(), content => &m.text }).collect();
        let all = context! {
            messages, bos_token => bos, eos_token => eos, add_generation_prompt => prompt,
        };
        template.render(all).map_err(|e| format!("the chat template fails: {e:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Role;

    #[test]
    fn a_conversation_becomes_a_text() {
        let source = "{{ bos_token }}{% for m in messages %}\n  {% if m['role'] == 'system' %}\n<{{ m.content.strip() }}>\n\
                      {% else %}\n[{{ m.role }}: {{ m['content'] | trim }}]{% endif %}\n{% endfor %}\n\
                      {% if add_generation_prompt %}[assistant:{% endif %}";
        let template = ChatTemplate::new(source.to_owned()).unwrap();
        let message = |role, text: &str| Message { role, text: text.to_owned() };
        let all = [message(Role::System, " be brief "), message(Role::User, "Why? ")];
        assert_eq!(template.render(&all, "<s>", "", true).unwrap(), "<s><be brief>\n[user: Why?][assistant:");
        let failing = ChatTemplate::new("{{ raise_exception('no system') }}".to_owned()).unwrap();
        assert!(failing.render(&all, "", "", false).unwrap_err().contains("no system"));
    }
}
